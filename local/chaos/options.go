//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// options say what a run does. What the command line leaves at its zero value is
// drawn from the seed by fill.
type options struct {
	Seed   uint64 `json:"seed"`
	Jobs   int    `json:"jobs"`
	Layout string `json:"layout"`
	// Flush lets Redis be emptied once. Such runs are judged by rules of their own.
	Flush bool `json:"flush"`
	// Nodes is how many `sweepline up` there are.
	Nodes int `json:"nodes"`
	// Rate is requests a second.
	Rate float64 `json:"rate"`
	// Concurrent and Budget are the limits of the trading API.
	Concurrent int `json:"concurrent"`
	Budget     int `json:"budget_per_minute"`
	// Delay is how long a sweep takes at least.
	Delay time.Duration `json:"delay_ns"`
	// Gap is the mean time between two faults.
	Gap time.Duration `json:"gap_ns"`
	// Patience is for how long nothing may move before the run is given up.
	Patience time.Duration `json:"patience_ns"`
	// Only are the kinds of fault to inject; empty means all.
	Only []string `json:"only,omitempty"`
	// Defaults leaves leases, polls and backoffs as they are in production.
	Defaults bool `json:"defaults"`
	// Env are further variables of the pipeline's processes.
	Env []string `json:"env,omitempty"`

	// Settings are the variables that shorten what would take too long.
	Settings []string `json:"-"`
	// FlushSet and Patient say that Flush and Patience were chosen by whoever runs it.
	FlushSet, Patient bool `json:"-"`
}

// quick shortens leases, polls and backoffs to what a run of minutes can wait
// for. A name that the pipeline does not know (any more) changes nothing.
var quick = []string{
	"SUBMIT_LEASE=4s", "ADMISSION_TIMEOUT=4s", "SUPERVISE_LEASE=4s", "ACTION_DELAY=1s", "POLL_MIN=1s", "POLL_MAX=4s", "POLL_FIRST=2s",
	"BROKER_CLAIM_IDLE=4s", "BROKER_BACKOFF_MAX=10s", "BROKER_RETRY_AFTER_MAX=10s", "TRADING_API_BACKOFF_MAX=5s",
	"RECONCILE_INTERVAL=15s", "RECONCILE_GRACE=30s",
}

// longPatience outlasts whatever is done every five minutes only: what is away is
// asked again, and stores are compared.
const longPatience = 6 * time.Minute

// fill draws from the seed what was left open, so that a seed alone names a run.
func (o options) fill() (options, error) {
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	layout := []string{nodes, apart}[o.Seed%2]
	concurrent := []int{5, 10, 20}[rng.IntN(3)]
	tight := rng.IntN(2) == 0
	if o.Layout == "" {
		o.Layout = layout
	}
	if o.Layout != nodes && o.Layout != apart {
		return o, fmt.Errorf("--layout must be %s or %s", nodes, apart)
	}
	if !o.FlushSet {
		o.Flush = o.Seed%5 == 0
	}
	if o.Flush && !o.Patient {
		o.Patience = longPatience
	}
	if o.Jobs < 1 || o.Nodes < 1 || o.Gap <= 0 {
		return o, fmt.Errorf("--jobs, --nodes and --gap must be above zero")
	}
	if o.Rate == 0 {
		o.Rate = min(max(float64(o.Jobs)/60, 2), 10)
	}
	if o.Concurrent == 0 {
		o.Concurrent = concurrent
	}
	if o.Budget == 0 {
		// A job takes about three calls. Tight is less than what comes in.
		o.Budget = int(o.Rate * 60 * 3)
		if tight {
			o.Budget = o.Budget * 7 / 10
		}
	}
	if !o.Defaults {
		o.Settings = quick
	}
	return o, nil
}

// window is for how long requests come in and faults begin.
func (o options) window() time.Duration {
	return max(time.Duration(float64(o.Jobs)/o.Rate*float64(time.Second))+15*time.Second, time.Minute)
}
