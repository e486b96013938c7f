//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// slowSweep is how long sweeps take while the slots are counted: long enough for
// a busy machine to submit one for each slot meanwhile.
const slowSweep = 8 * time.Second

// report is the outcome of one run.
type report struct {
	Name     string    `json:"name"`
	Options  options   `json:"options"`
	Schedule []string  `json:"schedule"`
	Episodes []episode `json:"episodes"`
	Verdict  verdict   `json:"verdict"`
	Before   []shape   `json:"redis_before"`
	After    []shape   `json:"redis_after"`
	Took     string    `json:"took"`
	// Logs is the folder of everything that the processes said and stored; empty
	// where it was removed.
	Logs string `json:"logs,omitempty"`
}

func (r *report) failed() bool { return len(r.Verdict.Broken) > 0 }

// act is what happens to a world while jobs come in. It returns once every fault
// is healed.
type act func(context.Context, *world, *observed) error

// breaking is the act of injecting the faults that plan returns.
func breaking(plan func(*world) ([]fault, error)) act {
	return func(ctx context.Context, w *world, seen *observed) error {
		faults, err := plan(w)
		if err != nil {
			return err
		}
		seen.schedule = faults
		seen.episodes = unleash(ctx, faults, w.remember(seen), w.log)
		return ctx.Err()
	}
}

// run does one run: it starts a world, lets act happen to it under load, heals it
// and judges. The error is for what kept it from a verdict.
func run(ctx context.Context, name string, o options, bins *binaries, do act, log *slog.Logger) (_ *report, err error) {
	began := time.Now()
	w, err := newWorld(ctx, o, bins, log)
	if err != nil {
		return nil, fmt.Errorf("start world: %w", err)
	}
	rep := &report{Name: name, Options: o, Logs: w.dir}
	defer w.stop()
	log.InfoContext(ctx, "test system started", "layout", o.Layout, "folder", w.dir, "took", time.Since(began).String())

	seen := &observed{options: o}
	// A few jobs first: what does not work without faults need not be broken, and
	// what is kept once, not for each job, is there before keys are counted.
	warm := probes("WARM", 24)
	w.send(ctx, warm)
	if err := w.quiet(ctx, warm); err != nil {
		return nil, fmt.Errorf("run jobs before any fault (logs in %s): %w", w.dir, err)
	}
	if seen.before, err = w.redis.count(ctx); err != nil {
		return nil, err
	}

	load := asks(o, "LOAD", o.Jobs)
	seen.requests = slices.Concat(warm, load)
	sending, stopSending := context.WithCancel(ctx)
	defer stopSending()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		w.send(sending, load)
	}()
	if err := do(ctx, w, seen); err != nil {
		return nil, err
	}
	seen.unready = w.heal(ctx)
	log.InfoContext(ctx, "healed", "error", seen.unready)
	seen.unquiet = w.quiet(ctx, seen.requests)
	stopSending()
	<-sent
	log.InfoContext(ctx, "settled", "error", seen.unquiet)

	if err := w.countSlots(ctx, seen); err != nil {
		return nil, err
	}
	if err := w.observe(ctx, seen); err != nil {
		seen.unready = errors.Join(seen.unready, err)
	}
	if err := w.redis.passTime(ctx); err != nil {
		return nil, err
	}
	if seen.after, err = w.redis.count(ctx); err != nil {
		return nil, err
	}
	for _, f := range seen.schedule {
		rep.Schedule = append(rep.Schedule, f.String())
	}
	rep.Episodes = seen.episodes
	rep.Before, rep.After = seen.before.Shapes, seen.after.Shapes
	rep.Verdict = judge(seen)
	rep.Took = time.Since(began).Round(time.Second).String()
	return rep, nil
}

// remember notes what the store knows when Redis is emptied.
func (w *world) remember(seen *observed) func(context.Context, fault) {
	return func(ctx context.Context, f fault) {
		if !f.kind.forgets {
			return
		}
		seen.known = map[string]bool{}
		jobs, _, err := w.postgres.stored(ctx)
		if err != nil {
			w.log.WarnContext(ctx, "recording jobs before the flush failed", "error", err)
		}
		for id := range jobs {
			seen.known[id] = true
		}
		seen.flushed = time.Now()
	}
}

// countSlots asks for twice as many slow sweeps as there are slots: all of them
// must be filled at once.
func (w *world) countSlots(ctx context.Context, seen *observed) error {
	w.mu.Lock()
	w.slowSweeps = true
	w.mu.Unlock()
	w.simulator.down(syscall.SIGKILL)
	if err := w.simulator.up(); err != nil {
		return err
	}
	if err := w.simulator.awaitReady(ctx); err != nil {
		return err
	}
	began := time.Now()
	all := probes("SLOT", 2*w.o.Concurrent)
	asking, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	w.send(asking, all)
	seen.requests = append(seen.requests, all...)
	if seen.unquiet == nil {
		seen.unquiet = w.quiet(ctx, seen.requests)
	} else if err := w.still(ctx, seen.requests); err != nil { // what is stuck stays so
		return err
	}
	sweeps, err := w.sweeps()
	if err != nil {
		return err
	}
	var late []sweep
	for _, s := range sweeps {
		if s.Created.After(began) {
			late = append(late, s)
		}
	}
	seen.peak = inFlight(late)
	return nil
}

// discard removes the folder of a run that nobody needs to look at.
func (r *report) discard() error {
	dir := r.Logs
	r.Logs = ""
	if filepath.Dir(dir) != filepath.Clean(os.TempDir()) {
		return fmt.Errorf("remove %s: not a folder of ours", dir)
	}
	return os.RemoveAll(dir)
}
