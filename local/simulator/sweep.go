package simulator

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// States of a sweep, as the API names them.
const (
	pending   = "pending"
	running   = "running"
	completed = "completed"
	failed    = "failed"
	cancelled = "cancelled"
)

// sweep is one submitted job. Its fields are guarded by Simulator.mu, except
// those that never change after the submission and the atomic counter.
type sweep struct {
	id, runID string
	req       request
	total     int // combinations
	created   time.Time
	faults    faults

	status             string
	started, completed time.Time
	message            string // why it failed
	source             string // where its prices came from
	synthetic          bool
	data               *dataAnswer // the prices themselves
	lastPoll           time.Time
	computed           bool // only time stands between it and its end

	done atomic.Int64 // combinations computed so far
	ctx  context.Context
	stop context.CancelFunc
	// ended is closed when the status has become terminal.
	ended chan struct{}
}

func (j *sweep) terminal() bool {
	return j.status == completed || j.status == failed || j.status == cancelled
}

// progress is 0–100. While a sweep runs it is the smaller of the part computed
// and the part of the delay that has passed, and never 100.
func (j *sweep) progress(now time.Time, delay time.Duration) int {
	switch j.status {
	case pending:
		return 0
	case completed:
		return 100
	}
	if j.started.IsZero() {
		return 0
	}
	until := now
	if !j.completed.IsZero() {
		until = j.completed
	}
	part := float64(j.done.Load()) / float64(max(j.total, 1))
	if delay > 0 {
		part = min(part, float64(until.Sub(j.started))/float64(delay))
	}
	return int(min(max(part, 0), 0.99) * 100)
}

// faults are what will go wrong with one sweep.
type faults struct {
	loseCallback, duplicateCallback, early, loseAnswer, fail bool
	late                                                     time.Duration
}

// draw decides the faults of the n-th submission. They depend on the seed and n
// alone, so a run can be repeated; every draw is made whatever the others gave,
// so that changing one probability leaves the rest as they were.
func (c Config) draw(n int64) faults {
	rng := rand.New(rand.NewPCG(c.Seed, uint64(n)))
	hit := func(p float64) bool { return rng.Float64() < p }
	f := faults{
		loseCallback:      hit(c.LoseCallbacks),
		duplicateCallback: hit(c.DuplicateCallbacks),
		early:             hit(c.EarlyCallbacks),
		loseAnswer:        hit(c.LoseAnswers),
		fail:              hit(c.Fail),
		late:              time.Duration(rng.Float64() * float64(c.LateCallbacks)),
	}
	if f.early {
		f.late = 0
	}
	return f
}

// run takes a started sweep to its end. It returns early, leaving the sweep as
// it is, when the simulator closes.
func (s *Simulator) run(j *sweep) {
	delay := s.cfg.Delay
	if j.faults.early {
		delay = 0
	}
	over, stop := s.clock.Timer(delay)
	defer stop()
	err := s.compute(j)
	s.mu.Lock()
	j.computed = true
	s.signal()
	s.mu.Unlock()

	select {
	case <-over:
	case <-j.ctx.Done():
	}
	if j.ctx.Err() != nil {
		return // cancelled, or the simulator closes
	}
	if err == nil && j.faults.fail {
		err = errSimulated
	}
	s.finish(j, err)
}

// errSimulated is the failure that Config.Fail injects.
var errSimulated = errors.New("strategy execution failed: simulated fault")

func (s *Simulator) compute(j *sweep) error {
	prices, err := loadSeries(s.cfg.PricesDir, j.req.Ticker, s.cfg.Seed)
	if err != nil {
		return err
	}
	s.mu.Lock()
	j.source, j.synthetic, j.data = prices.source, prices.synthetic, prices.data()
	s.mu.Unlock()
	rows, err := s.engine.compute(j.ctx, j.req, prices, &j.done)
	if err != nil {
		return err
	}
	s.results.put(j.runID, rows)
	return nil
}

// finish ends a running sweep as completed or, with err, as failed. An early
// sweep's webhook is waited for.
func (s *Simulator) finish(j *sweep, err error) {
	status, message := completed, ""
	if err != nil {
		status, message = failed, err.Error()
	}
	if s.end(j, status, message) && j.faults.early {
		s.deliver(j)
	}
}

// end makes the status terminal, once, and reports whether it did. It lets the
// next sweep start and sends the webhook on its way, but for an early sweep.
func (s *Simulator) end(j *sweep, status, message string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.terminal() {
		return false
	}
	if j.status == running && !j.faults.early {
		s.runningNow--
	}
	if j.status == pending {
		s.unqueue(j)
	}
	j.status, j.message = status, message
	j.completed = s.clock.Now()
	j.stop()
	close(j.ended)
	s.stats.InFlight--
	switch status {
	case completed:
		s.stats.Completed++
	case failed:
		s.stats.Failed++
	case cancelled:
		s.stats.Cancelled++
	}
	s.journal.ended(j)
	s.forget()
	s.startWaiting()
	if !j.faults.early {
		s.startWebhook(j)
	}
	s.signal()
	return true
}
