package wait

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// flushDelay is how long completed actions wait for others, so that they are
	// removed in one batch.
	flushDelay = 200 * time.Millisecond
	// flushSize is the batch size that is flushed without waiting.
	flushSize = 64
	// flushTimeout bounds a background flush.
	flushTimeout = 5 * time.Second
)

// doneActions collects completed actions that are not removed from the records yet.
// Nothing waits for that: the supervisor repeats an action that is not removed.
type doneActions struct {
	mu    sync.Mutex
	done  map[endKey]Actions
	timer *time.Timer
	busy  sync.WaitGroup
}

// endKey identifies an end: a superseding end has actions of its own.
type endKey struct {
	jobID string
	state State
}

// markDone schedules the removal of completed actions of an ended wait.
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

// alreadyDone reports whether this process has completed an action that is not
// removed yet.
func (w *Waits) alreadyDone(r Record, c Actions) bool {
	w.doneActions.mu.Lock()
	defer w.doneActions.mu.Unlock()
	return w.doneActions.done[endKey{r.Header.JobID, r.State}].Has(c)
}

// scheduleFlush flushes after d. The caller holds mu.
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
			slog.WarnContext(ctx, "removing completed actions failed", "error", err)
		}
	})
}

// Flush removes the actions that Conclude has completed. It is for shutdown and tests;
// otherwise that happens in the background within flushDelay.
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

// Done removes completed actions of an ended wait at once. With the last one the record's
// retention begins; with ActionCancel the slot is free.
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
		return fmt.Errorf("remove completed actions of %d jobs: %w", len(done), err)
	}
	return nil
}
