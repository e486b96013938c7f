package dispatch

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// watch follows what the inspector announces: pauses, resumes, redrives, replays.
func (d *Dispatcher) watch(ctx context.Context) {
	pubsub := d.store.Watch(ctx)
	defer func() { _ = pubsub.Close() }() // the connection is not used again
	messages := pubsub.ChannelWithSubscriptions()
	for {
		select {
		case msg, ok := <-messages:
			if !ok {
				<-ctx.Done()
				return
			}
			if m, ok := msg.(*redis.Message); ok {
				d.announced(ctx, m.Payload)
			} else {
				// The subscription stands, or stands again: what was announced before
				// was missed.
				d.refreshPaused(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (d *Dispatcher) announced(ctx context.Context, what string) {
	name, ours := strings.CutPrefix(what, d.broker.String()+"/")
	s := d.subscription(name)
	if !ours || s == nil {
		return
	}
	d.refreshPaused(ctx)
	for _, p := range d.parts {
		d.fill(ctx, p, name)
		s.noteBacklog(p)
		p.writer.Kick()
		p.retrier.wake()
	}
}

// refreshPaused takes up the pause state; where Redis cannot be asked, Triggers go
// on as they are.
func (d *Dispatcher) refreshPaused(ctx context.Context) {
	paused, err := d.store.Paused(ctx, d.broker)
	if err != nil {
		if ctx.Err() == nil {
			d.log.WarnContext(ctx, "pause state not read", "broker", d.broker.String(), "error", err)
		}
		return
	}
	for _, s := range d.subscriptions() {
		s.setPaused(paused[s.name])
	}
}

// Paused reports whether this process knows that a Trigger is paused.
func (d *Dispatcher) Paused(trigger string) bool {
	s := d.subscription(trigger)
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused
}
