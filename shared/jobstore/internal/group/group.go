// Package group joins calls that are made while others are under way into one:
// while there is little to do each goes alone and at once, under load many share
// a statement and its commit.
package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/jobstore"
)

// Group joins calls. Set the fields before the first call; all methods may be
// called from many goroutines.
type Group[T, R any] struct {
	// Run makes one call for all values and returns their results in order. It
	// bounds its own time: a caller that has gone away ends nobody else's work.
	Run func(context.Context, []T) ([]R, error)
	// Key, where it is set, names what a value is about; values of one key are
	// not in the same call.
	Key func(T) string
	// Most bounds the values of one call.
	Most int
	// Parallel is how many calls are under way at most.
	Parallel int
	// Linger is how long values wait for company that came while a call was under
	// way. Those that find nothing under way never wait.
	Linger time.Duration
	// Urgent, where it is set, names the values that somebody waits for. A call without
	// one waits for Patience at most, until one comes or there are Most.
	Urgent   func(T) bool
	Patience time.Duration

	mu      sync.Mutex
	queue   []*entry[T, R]
	busy    int
	running sync.WaitGroup
	// awaiting says that one of busy waits for what is urgent; wake ends that.
	awaiting bool
	wake     chan struct{}
}

type entry[T, R any] struct {
	value  T
	result R
	err    error
	done   chan struct{}
}

// Do adds values to the next calls and returns their results in order, or the
// first error. Where ctx ends before that, the calls may be made all the same.
func (g *Group[T, R]) Do(ctx context.Context, values ...T) ([]R, error) {
	if err := ctx.Err(); err != nil {
		return nil, late(err)
	}
	entries := make([]*entry[T, R], len(values))
	for i, v := range values {
		entries[i] = &entry[T, R]{value: v, done: make(chan struct{})}
	}
	g.add(ctx, entries)
	results := make([]R, len(entries))
	for i, x := range entries {
		select {
		case <-x.done:
			if x.err != nil {
				return nil, x.err
			}
			results[i] = x.result
		case <-ctx.Done():
			return nil, late(ctx.Err())
		}
	}
	return results, nil
}

// Each is Do for results that carry errors of their own: failed makes one of an
// error that is everybody's.
func Each[T, R any](ctx context.Context, g *Group[T, R], values []T, failed func(error) R) []R {
	results, err := g.Do(ctx, values...)
	if err == nil {
		return results
	}
	results = make([]R, len(values))
	for i := range results {
		results[i] = failed(err)
	}
	return results
}

func late(err error) error {
	return fmt.Errorf("%w: wait for the batch: %w", jobstore.ErrUnavailable, err)
}

func (g *Group[T, R]) add(ctx context.Context, entries []*entry[T, R]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue = append(g.queue, entries...)
	if g.awaiting {
		if g.hurried(entries) {
			g.awaiting = false
			close(g.wake)
		}
		return
	}
	if g.busy < g.Parallel && len(g.queue) > 0 {
		g.busy++
		g.running.Go(func() { g.drain(context.WithoutCancel(ctx)) })
	}
}

// drain makes calls until the queue is empty. It is one of busy.
func (g *Group[T, R]) drain(ctx context.Context) {
	for first := true; ; first = false {
		if !first {
			g.linger()
		}
		g.await()
		g.mu.Lock()
		batch := g.take()
		if len(batch) == 0 {
			g.busy--
		}
		g.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		g.call(ctx, batch)
	}
}

// linger waits where there is something to do, and not yet enough.
func (g *Group[T, R]) linger() {
	g.mu.Lock()
	n := len(g.queue)
	g.mu.Unlock()
	if n > 0 && n < g.Most && g.Linger > 0 {
		<-time.After(g.Linger)
	}
}

// hurried reports whether entries, which are the newest of the queue, are to be called
// for at once. mu is held.
func (g *Group[T, R]) hurried(entries []*entry[T, R]) bool {
	return len(g.queue) >= g.Most || slices.ContainsFunc(entries, func(x *entry[T, R]) bool { return g.Urgent(x.value) })
}

// await waits while nobody waits for what is in the queue. Two may be in it at once only
// where the first has been woken.
func (g *Group[T, R]) await() {
	g.mu.Lock()
	if g.Urgent == nil || len(g.queue) == 0 || g.awaiting || g.hurried(g.queue) {
		g.mu.Unlock()
		return
	}
	wake := make(chan struct{})
	g.awaiting, g.wake = true, wake
	g.mu.Unlock()
	timer := time.NewTimer(g.Patience)
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
		g.mu.Lock()
		if g.wake == wake {
			g.awaiting = false
		}
		g.mu.Unlock()
	}
}

// take removes the next entries from the queue. mu is held.
func (g *Group[T, R]) take() (batch []*entry[T, R]) {
	if g.Key == nil {
		n := min(g.Most, len(g.queue))
		batch, g.queue = g.queue[:n:n], g.queue[n:]
		return batch
	}
	var rest []*entry[T, R]
	keys := map[string]bool{}
	for _, x := range g.queue {
		if k := g.Key(x.value); len(batch) < g.Most && !keys[k] {
			keys[k] = true
			batch = append(batch, x)
		} else {
			rest = append(rest, x)
		}
	}
	g.queue = rest
	return batch
}

// call runs a batch. Where it fails for what is in it, each entry goes alone, so
// that one bad entry fails nobody else.
func (g *Group[T, R]) call(ctx context.Context, batch []*entry[T, R]) {
	values := make([]T, len(batch))
	for i, x := range batch {
		values[i] = x.value
	}
	results, err := g.Run(ctx, values)
	if err == nil && len(results) != len(batch) {
		err = fmt.Errorf("got %d results for %d values", len(results), len(batch))
	}
	if err != nil && len(batch) > 1 && !errors.Is(err, jobstore.ErrUnavailable) {
		for _, x := range batch {
			g.call(ctx, []*entry[T, R]{x})
		}
		return
	}
	for i, x := range batch {
		if x.err = err; err == nil {
			x.result = results[i]
		}
		close(x.done)
	}
}

// Wait returns when no call is under way. Nothing is added meanwhile.
func (g *Group[T, R]) Wait() { g.running.Wait() }
