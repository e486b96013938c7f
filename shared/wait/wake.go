package wait

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// What the supervisor is woken for.
const (
	wakeAdmit = "admit"
	wakeDue   = "due"
)

// wake wakes the supervisors before their next tick. It may be lost, so its error is
// ignored.
func (w *Waits) wake(ctx context.Context, what string) {
	_ = w.redis.Publish(ctx, w.keys.wakes(), what).Err()
}

// Wakes signals that a job may be admitted, and that a wait came due before its time.
// Signals may be lost, spurious or merged: they only save waiting for the next tick. Both channels are closed when ctx
// ends.
func (w *Waits) Wakes(ctx context.Context) (admit, due <-chan struct{}) {
	a, d := make(chan struct{}, 1), make(chan struct{}, 1)
	sub := w.redis.Subscribe(ctx, w.keys.wakes())
	go func() {
		defer close(a)
		defer close(d)
		defer func() { _ = sub.Close() }()
		messages := sub.ChannelWithSubscriptions()
		for {
			select {
			case <-ctx.Done():
				return
			case m, ok := <-messages:
				if !ok {
					return
				}
				message, isMessage := m.(*redis.Message)
				// A new subscription may have missed both.
				if !isMessage || message.Payload == wakeAdmit {
					signal(a)
				}
				if !isMessage || message.Payload == wakeDue {
					signal(d)
				}
			}
		}
	}()
	return a, d
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
