package dispatch

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff spaces out the repeats of a loop that cannot do its work.
type backoff struct{ first, most, next time.Duration }

func newBackoff(first, most time.Duration) *backoff { return &backoff{first, most, first} }

func (b *backoff) reset() { b.next = b.first }

// sleep waits and doubles the wait. It returns false if ctx ends first.
func (b *backoff) sleep(ctx context.Context) bool {
	ok := sleep(ctx, b.next)
	b.next = min(2*b.next, b.most)
	return ok
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryDelay is the wait before retry n, from 1. Rule: DeliverySpec, as
// implemented by Knative: n × delay, or delay × 2^(n−1) when exponential.
func retryDelay(d Delivery, n int, most time.Duration, jitter bool) time.Duration {
	wait := d.BackoffDelay
	if d.BackoffPolicy == BackoffLinear {
		if wait > 0 && time.Duration(n) > most/wait {
			wait = most
		} else {
			wait *= time.Duration(n)
		}
	} else {
		for i := 1; i < n && wait > 0 && wait < most; i++ {
			wait *= 2
		}
	}
	wait = min(wait, most)
	if jitter && wait > 0 {
		wait = rand.N(wait)
	}
	return wait
}
