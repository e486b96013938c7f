//go:build linux

package main

import (
	"context"
	"errors"
	"time"
)

// calm is for how long nothing may move before a pipeline with nothing left to do
// is believed to be done.
const calm = 5 * time.Second

// longCalm is the same where there may be something left to do.
const longCalm = 4 * calm

// progress is all that moves while there is work.
type progress struct {
	unasked, accepted, jobs, ended, events, told, messages, notified, sweeping int
}

func (w *world) progress(ctx context.Context, all []*request) (progress, error) {
	var p progress
	for _, r := range all {
		given := len(r.accepted())
		p.accepted += given
		if r.pending(given > 0) {
			p.unasked++
		}
	}
	s, err := w.postgres.progress(ctx)
	if err != nil {
		return p, err
	}
	p.jobs, p.ended, p.events, p.notified = s.jobs, s.ended, s.events, s.notified
	p.told, p.messages = w.people.counts()
	sweeps, err := w.sweeps()
	for _, s := range sweeps {
		if !s.ended() {
			p.sweeping++
		}
	}
	return p, err
}

// done says that nothing is left to do.
func (p progress) done(flush bool) bool {
	return p.unasked == 0 && p.ended == p.jobs && p.told >= p.jobs && p.notified >= len(channels)*p.jobs && p.sweeping == 0 && (flush || p.jobs >= p.accepted)
}

var errNotQuiet = errors.New("something is left to do, and nothing has moved for as long as the run is patient")

// quiet waits until everything is done and nothing has moved for a while. It
// gives up where nothing moves although something is left to do.
func (w *world) quiet(ctx context.Context, all []*request) error {
	return w.watch(ctx, all, func(p progress, rest time.Duration) (bool, error) {
		switch {
		// What an emptied Redis forgot is found by a comparison with the store.
		case p.done(w.o.Flush) && rest >= calm && (!w.o.Flush || rest >= longCalm):
			return true, nil
		case rest >= w.o.Patience:
			return true, errNotQuiet
		}
		return false, nil
	})
}

// still waits until nothing moves, done or not.
func (w *world) still(ctx context.Context, all []*request) error {
	return w.watch(ctx, all, func(_ progress, rest time.Duration) (bool, error) { return rest >= longCalm, nil })
}

// watch calls stop with what it sees, and with how long that has not changed,
// until stop says so.
func (w *world) watch(ctx context.Context, all []*request, stop func(p progress, rest time.Duration) (bool, error)) error {
	var last progress
	since := time.Now()
	for {
		p, err := w.progress(ctx, all)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if p != last {
			last, since = p, time.Now()
		}
		if over, err := stop(p, time.Since(since)); over {
			return err
		}
		if !pause(ctx, 500*time.Millisecond) {
			return ctx.Err()
		}
	}
}
