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
package wait
