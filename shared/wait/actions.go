package wait

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// strikeDelay is how long chores that are done may wait for others, so that
	// they are struck off together.
	flushDelay = 200 * time.Millisecond
	// strikeAtOnce is how many are struck off without waiting.
	flushSize = 64
	// strikePatience bounds striking off behind everybody's back.
	flushTimeout = 5 * time.Second
)

// struck collects chores that are done and not struck off yet. Nobody waits for
// that: a chore that is not struck off is done again by the supervisor.
type doneActions struct {
	mu    sync.Mutex
	done  map[endKey]Actions
	timer *time.Timer
	busy  sync.WaitGroup
}

// finished is an end: one that was overturned has chores of its own.
type endKey struct {
	jobID string
	state State
}

// strike has chores of an ended wait struck off soon.
func (w *Waits) markDone(r Record, c Actions) {
	if c == "" {
		return
	}
	s := &w.doneActions
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = map[endKey]Actions{}
	}
	s.done[endKey{r.Header.JobID, r.State}] += c
	switch {
	case len(s.done) >= flushSize:
		s.scheduleFlush(w, 0)
	case s.timer == nil:
		s.scheduleFlush(w, flushDelay)
	}
}

// already reports whether this process has done a chore that is not struck off yet.
func (w *Waits) alreadyDone(r Record, c Actions) bool {
	w.doneActions.mu.Lock()
	defer w.doneActions.mu.Unlock()
	return w.doneActions.done[endKey{r.Header.JobID, r.State}].Has(c)
}

// later flushes after d. The caller holds mu.
func (s *doneActions) scheduleFlush(w *Waits, d time.Duration) {
	if s.timer != nil && s.timer.Stop() {
		s.busy.Done()
	}
	s.busy.Add(1)
	s.timer = time.AfterFunc(d, func() {
		defer s.busy.Done()
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		if err := w.Flush(ctx); err != nil {
			slog.WarnContext(ctx, "Chores not struck off", "error", err)
		}
	})
}

// Flush strikes off at once what Conclude has done. It is for shutdown and tests;
// otherwise that happens by itself within a moment.
func (w *Waits) Flush(ctx context.Context) error {
	s := &w.doneActions
	s.mu.Lock()
	done := s.done
	s.done = nil
	if s.timer != nil && s.timer.Stop() {
		s.busy.Done()
	}
	s.timer = nil
	s.mu.Unlock()
	return w.done(ctx, done)
}

// Done strikes chores of an ended wait off at once. With the last one the record's
// retention begins; with ChoreCancel the slot is free.
func (w *Waits) Done(ctx context.Context, r Record, c Actions) error {
	if c == "" {
		return nil
	}
	return w.done(ctx, map[endKey]Actions{{r.Header.JobID, r.State}: c})
}

func (w *Waits) done(ctx context.Context, done map[endKey]Actions) error {
	args := []any{w.cfg.Retention.Milliseconds()}
	for end, c := range done {
		if id, ok := pack(end.jobID); ok {
			args = append(args, id, end.state.letter(), string(c))
		}
	}
	if len(args) == 1 {
		return nil
	}
	if err := w.run(ctx, doneScript, args...).Err(); err != nil {
		return fmt.Errorf("strike off chores of %d jobs: %w", len(done), err)
	}
	return nil
}
