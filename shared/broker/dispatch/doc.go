// Package dispatch delivers what stands in the Triggers' queues: it claims entries,
// posts them to the subscribers and settles how each delivery ended.
//
//	dispatcher.go    one Broker in this process: which Triggers it delivers
//	subscription.go  one Trigger: what is claimed, what is in flight, how much room is left
//	reader.go        loop: waits for entries that other processes have stored
//	retrier.go       loop: claims retries when they are due
//	heartbeat.go     loop: shows that this process is alive, takes over from dead ones
//	rates.go         counts what became of deliveries
//	filler.go        copies history for replays
//	control.go       follows what operators announce: pauses, resumes, replays
//	sender.go        one attempt: HTTP out, what the answer means
//	outcomes.go      the answer to a batch, event by event
//	deliver.go       what follows from it: acknowledge, store replies, retry later, dead letter
//	state.go         what an event has been through, kept with a retry and a dead letter
//	backoff.go       delays of retries, and of loops that cannot reach Redis
//	trigger.go       a Trigger and its delivery spec, checked
//	config.go        what all of it is set to; metrics.go and span.go, what it counts and traces
//
// What this process stores itself it claims in the same commit (stream.Claimer), so
// the reader wakes only for others' events.
package dispatch
