package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/broker/stream"
)

// rates counts what subscribers answered until it is written to Redis, every fourth time
// that Config.ClaimIdle has passed, a minute by default: what a killed process has not
// written is not told, nor what could not be written. It counts answers: an entry that is
// delivered again since its acknowledgement was lost counts twice.
type rates struct {
	mu sync.Mutex
	of map[string]*stream.Rate
}

func (r *rates) count(trigger string, count func(*stream.Rate)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[string]*stream.Rate{}
	}
	if r.of[trigger] == nil {
		r.of[trigger] = &stream.Rate{}
	}
	count(r.of[trigger])
}

func (r *rates) delivered(trigger string, after time.Duration) {
	r.count(trigger, func(of *stream.Rate) { of.Deliver(after) })
}

func (r *rates) failed(trigger string) {
	r.count(trigger, func(of *stream.Rate) { of.Failed++ })
}

func (r *rates) deadLettered(trigger string) {
	r.count(trigger, func(of *stream.Rate) { of.DeadLettered++ })
}

// take returns what was counted, and begins anew.
func (r *rates) take() map[string]*stream.Rate {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.of
	r.of = nil
	return taken
}

// writeRates writes what was counted. What cannot be written is dropped: it may have been.
func (d *Dispatcher) writeRates(ctx context.Context) {
	counted := d.rates.take()
	if len(counted) == 0 {
		return
	}
	if err := d.store.AddRates(ctx, d.broker, counted); err != nil {
		d.log.WarnContext(ctx, "redis write failed, counts of deliveries dropped", "broker", d.broker.String(), "error", err)
	}
}
