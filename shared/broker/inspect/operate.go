package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/zixly/sweepline/shared/broker/stream"
)

// Pause stops the deliveries of a Trigger, in all processes, until Resume. What
// is in flight finishes; events wait in its queue. It may return ErrNotFound.
func (i *Inspector) Pause(ctx context.Context, namespace, broker, trigger string) error {
	return i.control(ctx, stream.Broker{Namespace: namespace, Name: broker}, trigger, true)
}

// Resume undoes Pause. It may return ErrNotFound.
func (i *Inspector) Resume(ctx context.Context, namespace, broker, trigger string) error {
	return i.control(ctx, stream.Broker{Namespace: namespace, Name: broker}, trigger, false)
}

func (i *Inspector) control(ctx context.Context, b stream.Broker, trigger string, pause bool) error {
	ok, err := i.store.Has(ctx, b, trigger)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("trigger %s/%s: %w", b, trigger, stream.ErrNotFound)
	}
	return i.store.SetPaused(ctx, b, trigger, pause)
}

// ReplayFrom delivers again what a Trigger was or was not given since then, as
// far as the history still holds it. Other Triggers are not touched. It may
// return ErrNotFound.
func (i *Inspector) ReplayFrom(ctx context.Context, namespace, broker, trigger string, since time.Time) error {
	b := stream.Broker{Namespace: namespace, Name: broker}
	partitions, err := i.store.All(ctx, b)
	if err != nil {
		return err
	}
	for _, p := range partitions {
		if err := p.Replay(ctx, trigger, since); err != nil {
			return err
		}
	}
	return i.store.Announce(ctx, b, trigger)
}

// Redrive gives a dead letter to its Trigger again, at once and with all its
// attempts. Other Triggers do not see it. It may return ErrNotFound, also where
// the Trigger has been removed.
func (i *Inspector) Redrive(ctx context.Context, id string) error {
	b, trigger, err := i.store.Redrive(ctx, id)
	if err != nil {
		return err
	}
	return i.store.Announce(ctx, b, trigger)
}

// Discard forgets a dead letter for good. It may return ErrNotFound.
func (i *Inspector) Discard(ctx context.Context, id string) error { return i.store.Discard(ctx, id) }

// Purge removes all that is kept of a broker: no process may serve it any more. Every
// process that did may call it, so that the last leaves nothing.
func (i *Inspector) Purge(ctx context.Context, namespace, broker string) error {
	return i.store.Purge(ctx, stream.Broker{Namespace: namespace, Name: broker})
}

// Backlogs lists the Triggers of all brokers that have not finished everything, in
// this layout and in the one before it.
func (i *Inspector) Backlogs(ctx context.Context) ([]stream.Backlog, error) {
	return i.store.Backlogs(ctx)
}

// Footprints lists what Redis holds of each broker, by name, whoever owns it. It looks
// through all keys.
func (i *Inspector) Footprints(ctx context.Context) ([]stream.Footprint, error) {
	return i.store.Footprints(ctx)
}
