package broker

import (
	"context"
	"fmt"
	"time"
)

// Pause stops the deliveries of a Trigger, in all processes, until Resume. What
// is in flight finishes; events wait in the stream. It may return ErrNotFound.
func (i *Inspector) Pause(ctx context.Context, namespace, broker, trigger string) error {
	return i.control(ctx, triggerKey{namespace, broker, trigger}, true)
}

// Resume undoes Pause. It may return ErrNotFound.
func (i *Inspector) Resume(ctx context.Context, namespace, broker, trigger string) error {
	return i.control(ctx, triggerKey{namespace, broker, trigger}, false)
}

func (i *Inspector) control(ctx context.Context, k triggerKey, pause bool) error {
	ctx, cancel := i.call(ctx)
	defer cancel()
	zero, err := i.find(ctx, k)
	if err != nil {
		return err
	}
	if pause {
		err = i.rdb.SAdd(ctx, zero.paused(), k.name).Err()
	} else {
		err = i.rdb.SRem(ctx, zero.paused(), k.name).Err()
	}
	if err != nil {
		return fmt.Errorf("pause or resume trigger %s: %w", k, err)
	}
	return i.announce(ctx, k)
}

func (i *Inspector) find(ctx context.Context, k triggerKey) (partition, error) {
	zero := newPartition(Broker{Namespace: k.namespace, Name: k.broker}, 0)
	ok, err := i.rdb.HExists(ctx, zero.triggers(), k.name).Result()
	if err != nil {
		return zero, fmt.Errorf("find trigger %s: %w", k, err)
	}
	if !ok {
		return zero, fmt.Errorf("trigger %s: %w", k, ErrNotFound)
	}
	return zero, nil
}

// announce wakes the processes that run the Trigger. A lost message costs
// seconds, no more: they look by themselves too.
func (i *Inspector) announce(ctx context.Context, k triggerKey) error {
	if err := i.rdb.Publish(ctx, controlChannel, k.String()).Err(); err != nil {
		return fmt.Errorf("announce change of trigger %s: %w", k, err)
	}
	return nil
}

// ReplayFrom delivers again what a Trigger was or was not given since then, as
// far as the stream still holds it. Other Triggers are not touched. It may
// return ErrNotFound.
func (i *Inspector) ReplayFrom(ctx context.Context, namespace, broker, trigger string, since time.Time) error {
	return i.replay(ctx, triggerKey{namespace, broker, trigger}, beforeTime(since))
}

// ReplayAfter is ReplayFrom for everything after a stream id. With several
// streams an id means its time in each of them.
func (i *Inspector) ReplayAfter(ctx context.Context, namespace, broker, trigger, id string) error {
	if _, _, ok := splitID(id); !ok {
		return fmt.Errorf("replay trigger: %q is no stream id", id)
	}
	return i.replay(ctx, triggerKey{namespace, broker, trigger}, id)
}

func (i *Inspector) replay(ctx context.Context, k triggerKey, after string) error {
	ctx, cancel := i.call(ctx)
	defer cancel()
	zero, err := i.find(ctx, k)
	if err != nil {
		return err
	}
	n, err := partitionsOf(ctx, i.rdb, zero.broker)
	if err != nil {
		return fmt.Errorf("replay trigger %s: %w", k, err)
	}
	for p := range n {
		if err := replayScript.Run(ctx, i.rdb, []string{newPartition(zero.broker, p).stream()}, k.name, after).Err(); err != nil {
			return fmt.Errorf("replay trigger %s: %w", k, err)
		}
	}
	return i.announce(ctx, k)
}
