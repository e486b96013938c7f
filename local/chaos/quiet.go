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
		rest := time.Since(since)
		switch {
		case p.done(w.o.Flush) && rest >= calm && (!w.o.Flush || rest >= 4*calm):
			return nil
		case rest >= w.o.Patience:
			return errNotQuiet
		case !pause(ctx, 500*time.Millisecond):
			return ctx.Err()
		}
	}
}
