// Package wait is what the pipeline remembers of a job while its sweep runs
// somewhere else, for minutes or hours: a record for each job in Redis, and the
// times at which it is due next.
//
// All steps that touch a job before its end use it: receive writes
// the record (Accept), submit takes it through Enter, Note and Requeue, callback
// and the supervisor end it (Resolve), owners too (Cancel). Nothing here calls the
// trading API, and nothing here brings a wait on by itself: the supervisor drives it by Due,
// for what needs no API call, and AdmitNext, which admits jobs and grants calls.
//
// Each step is one Lua script, so it happens as a whole or not at all, and the
// first writer wins. It includes the decisions of admission: slots, the queue, the call
// budget and the breakers are under the same hash tag. README.md draws
// the states and lists what can go wrong at each step.
//
//	waits.go      opens it
//	accept.go     receive: the record, before the 202
//	enter.go      submit: may this job be submitted, was it, or does it queue
//	admit.go      supervisor: the next jobs and the next calls
//	resolve.go    the end of a wait: the first writer wins
//	conclude.go   sends the event of an end, and notes that it was sent
//	actions.go    what is left to do after an end, repeated until it is done
//	restore.go    a record made anew from the job store
//	lookup.go     the records of one job and of many
//	record.go     the record, header.go and trace.go how parts of it are encoded
//	count.go walk.go   how many jobs are where; all records, page by page
//	watch.go wake.go   pushes to readers and to the supervisor
//	report.go     outcomes of API calls, for the breakers
//	keys.go scripts.go   the layout, and the Lua scripts
//	config.go     settings; log.go and span.go, what is logged and traced
package wait
