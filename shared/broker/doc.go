// Package broker is the data plane that joins the functions: a Knative Broker on
// Redis Streams. This package only puts its parts together; an event goes through
// them in this order:
//
//	ingress/     HTTP in, checked and bounded
//	cloudevent/  the event as it came, to the byte
//	stream/      stored: one commit for many events, each in the queue of every
//	             Trigger whose filter it passes; only now 202. All Redis is here
//	filter/      which events a Trigger takes
//	dispatch/    claimed, posted to the subscriber; acknowledged together with its
//	             reply, or scheduled for a retry, or a dead letter
//	inspect/     lists, pauses, redrives, replays, from any process
//	manifest/    Brokers and Triggers from YAML
//
// Delivery is at least once: an event answered with 202 leaves a Trigger's queue
// only after its subscriber has accepted it or a dead letter is kept. Attempts and
// due times are in Redis, so they survive any restart. No part knows Kubernetes.
package broker
