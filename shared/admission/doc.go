// Package admission decides which job may call the trading API, and when. It grants two
// resources that all processes share: slots, of which the API has few, and the calls
// that it allows in a minute. A caller that gets none is told when to retry and sleeps
// until then.
//
// The rules are Lua (lua/*.lua), since each decision is one step in Redis, and
// most of them belong to a step of a job's wait: a slot is given back by the
// script that ends the wait. So shared/wait builds its scripts upon Library, and
// all keys are under one hash tag. The Go code here is what needs no wait: Await and
// Allow for calls outside of an admission, and the breakers.
//
// Time is that of Redis in every script. A process' clock decides nothing.
package admission
