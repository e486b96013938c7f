// Package stream is the broker's storage: all of its Redis keys, all of its Lua,
// and nothing else that knows of either.
//
// An accepted event is routed when it is written. The commit script appends it to
// the queue (a stream with one consumer group) of each Trigger whose filter it
// passes, and once to the partition's history, which serves replay and Triggers
// that start in the past. A queue holds only what is not finished: acknowledging
// removes the entry, so a queue's length is its backlog, and one Trigger's backlog
// is its own.
//
//	store.go      opens it: the Redis, its partitions, one writer each
//	connect.go    clients of its own, and connections that broke in use
//	routes.go     which Trigger an event goes to; kept in Redis, changed as a whole
//	writer.go     one group-committing writer for all writes of a partition
//	writer_commit.go  how it stores a group, and tries again
//	commit.go     one call of its script: what goes in, what comes of it
//	entry.go      an entry, how its delivery ended, who wants more
//	read.go       waiting for entries that other processes have written
//	claim.go      heartbeat, takeover from dead processes, retries that are due
//	history.go    trimming, replay
//	dead.go       dead letters
//	measure.go    numbers for gauges and the inspector
//	rates.go      what became of deliveries, by hour and by day
//	control.go    pauses, and what operators announce to all processes
//	drained.go    what is not finished, before an upgrade
//	leftovers.go  what no Broker owns any more
//	scripts.go    the Lua scripts
//	keys.go       the layout
//
// # Routes
//
// Routes live in Redis, per partition, with a generation. Whoever stores an event
// names the generation it has routed by; the script refuses another one, the
// writer loads the routes anew and routes again. So every event is routed by the
// set that is in force in the very step that stores it, whatever the processes
// around it believe: no event misses a new Trigger or reaches one twice. A filter
// decides when an event is accepted; what a queue holds is delivered, also after
// the filter has changed. A Trigger that has left the set is marked, goes on
// filling its queue, and is removed only after a grace period: a configuration
// that was away for a moment destroys nothing. A set may carry a version; an older
// one never replaces a newer one.
//
// # Deliveries
//
// An entry that is being delivered is pending in its group, under the consumer
// name of the process that delivers it. That process shows a heartbeat; once it
// has run out, others take over all that it has pending. A delivery that has to be
// repeated leaves the group for a sorted set of due times, its attempts beside it,
// and comes back into the group when it is due. Only the process in charge can
// postpone an entry or declare it dead; that one has been delivered, anybody may
// say who has delivered it. A reply is stored in the step that acknowledges the
// event that it answers.
package stream
