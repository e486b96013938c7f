package collect

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/zixly/sweepline/shared/ledger"
)

// mostTogether bounds the entries of one call: pages have 500 rows each.
const mostTogether = 16

// group joins calls that are made while another is under way into one: while
// there is little to do each goes alone and at once, under load many share a
// statement and its commit. Set key and run; the zero value of the rest is
// ready.
type group[T, R any] struct {
	// key names what an entry is about; entries of one key go one after another.
	key func(T) string
	// run makes one call for all entries and returns their results in order. It
	// bounds its own time: a caller that has gone away ends nobody else's work.
	run func(context.Context, ...T) ([]R, error)

	mu      sync.Mutex
	queue   []*entry[T, R]
	running sync.WaitGroup
	busy    bool
}

type entry[T, R any] struct {
	value  T
	result R
	err    error
	done   chan struct{}
}

// do adds value to the next call and returns its result, or ctx's error: then
// the call may be made all the same.
func (g *group[T, R]) do(ctx context.Context, value T) (R, error) {
	x := &entry[T, R]{value: value, done: make(chan struct{})}
	g.mu.Lock()
	g.queue = append(g.queue, x)
	if !g.busy {
		g.busy = true
		g.running.Go(func() { g.drain(context.WithoutCancel(ctx)) })
	}
	g.mu.Unlock()
	select {
	case <-x.done:
		return x.result, x.err
	case <-ctx.Done():
		var none R // x is still the call's
		return none, fmt.Errorf("wait for database: %w", ctx.Err())
	}
}

// drain makes calls until the queue is empty. It owns busy.
func (g *group[T, R]) drain(ctx context.Context) {
	for {
		g.mu.Lock()
		batch := g.take()
		g.busy = len(batch) > 0
		g.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		g.call(ctx, batch)
	}
}

// take removes the next entries from the queue, one of each key. mu is held.
func (g *group[T, R]) take() []*entry[T, R] {
	var batch, rest []*entry[T, R]
	keys := map[string]bool{}
	for _, x := range g.queue {
		if k := g.key(x.value); len(batch) < mostTogether && !keys[k] {
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
func (g *group[T, R]) call(ctx context.Context, batch []*entry[T, R]) {
	values := make([]T, len(batch))
	for i, x := range batch {
		values[i] = x.value
	}
	results, err := g.run(ctx, values...)
	if err == nil && len(results) != len(batch) {
		err = fmt.Errorf("%d results for %d entries", len(results), len(batch))
	}
	if err != nil && len(batch) > 1 && !errors.Is(err, ledger.ErrUnavailable) {
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

// wait returns when no call is under way. Nothing is added meanwhile.
func (g *group[T, R]) wait() { g.running.Wait() }
