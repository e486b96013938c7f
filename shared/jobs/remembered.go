package jobs

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// failureKept is for how long a read that failed is not tried again.
const failureKept = 3 * time.Second

// remembered keeps what was read last under each key, and reads it once for all who ask
// meanwhile: the read goes on when its first asker has gone. Keys must be few.
type remembered[T any] struct {
	flight  singleflight.Group
	running sync.WaitGroup

	mu   sync.Mutex
	kept map[string]result[T]
}

// result is what a read returned, and until when that is good.
type result[T any] struct {
	value T
	err   error
	until time.Time
}

// get returns what is kept under key, or what read returns, which is kept for keep.
func (r *remembered[T]) get(ctx context.Context, key string, now func() time.Time, keep time.Duration, read func(context.Context) (T, error)) (T, error) {
	r.mu.Lock()
	last, ok := r.kept[key]
	r.mu.Unlock()
	if ok && now().Before(last.until) {
		return last.value, last.err
	}
	done := r.flight.DoChan(key, func() (any, error) {
		r.running.Add(1)
		defer r.running.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
		defer cancel()
		value, err := read(ctx)
		if err != nil {
			keep = failureKept
		}
		got := result[T]{value, err, now().Add(keep)}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.kept == nil {
			r.kept = map[string]result[T]{}
		}
		r.kept[key] = got
		return got, nil
	})
	select {
	case answer := <-done:
		got, _ := answer.Val.(result[T])
		return got.value, got.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
