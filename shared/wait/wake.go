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

// wake tells the supervisors at once what they would find out at their next
// tick. That it may be lost is why its error does not count.
func (w *Waits) wake(ctx context.Context, what string) {
	_ = w.redis.Publish(ctx, w.keys.wakes(), what).Err()
}

// Wakes signals that there may be somebody to admit, and that a wait came due
// out of turn. Signals may be lost or come for nothing, and several may be one:
// they only save waiting for the next tick. Both channels are closed when ctx
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
