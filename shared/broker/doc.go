// Package broker is the data plane that joins the functions: a Knative Broker
// on Redis Streams.
//
// An event goes through it in the order of its files:
//
//	ingress.go      HTTP in, checked and bounded
//	batcher.go      concurrent posts grouped into one script call and one fsync
//	lua/append.lua  deduplicated and appended in one step; only now 202
//	lane.go         read by each Trigger's consumer group, filtered
//	courier.go      posted to the subscriber; a reply is appended first
//	acker.go        acknowledged, or
//	retries.go      moved to the Trigger's retry set in one step, or
//	deadletter.go   handed to the dead letter sink and kept for redrive
//
// recoverer.go takes over what a dead process held, keeper.go renews what a
// live one holds, janitor.go trims what every Trigger has acknowledged, and
// Inspector looks and acts on all of it from any process, through Redis alone.
//
// Delivery is at least once: an event answered with 202 is acknowledged for a
// Trigger only after its subscriber took it, its filter refused it, or a dead
// letter was kept. filter says which events a Trigger gets, manifest reads
// Brokers and Triggers from YAML; none of the three knows Kubernetes.
package broker
