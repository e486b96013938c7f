// Package admission decides who may call the trading API, and when. It gives out
// two things that all processes share: slots, of which the API has few, and the
// calls that it takes in a minute. It deals them: whoever gets none is told when
// to come again and sleeps until then; nobody tries and puts back.
//
// The rules are Lua (lua/*.lua), since each decision is one step in Redis, and
// most of them belong to a step of a job's wait: a slot is given back by the
// script that ends the wait. So shared/wait builds its scripts upon Library, and
// everything stands under one hash tag. What is left here for Go is what stands
// by itself: Await and Allow for calls outside of a turn, and the breakers.
//
// Time is that of Redis in every script. A process' clock decides nothing.
package admission
