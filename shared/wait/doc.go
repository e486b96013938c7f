// Package wait is what the pipeline remembers of a job while its sweep runs
// somewhere else, for minutes or hours: a record for each job in Redis, the
// line of those that found no free slot at the trading API, and the times at
// which somebody has to look again.
//
// It stands between all steps that touch a job before its end: receive writes
// the record (Accept), submit takes it through Enter, Submitted and PutBack,
// callback and the supervisor end it (Resolve), owners too (Cancel). Nothing
// here calls the trading API, and nothing here runs by itself: the supervisor
// drives it by Due and Admit.
//
// Each step is one Lua script on one hash tag, so it happens as a whole or not
// at all, and the first writer wins. Records are spread over shards, a tag
// each; admission has a tag of its own. What has to happen on both is done in
// an order in which a crash between leaves something that is due, and the
// supervisor picks it up. README.md draws the states and lists what can go
// wrong at each step.
package wait
