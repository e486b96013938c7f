package broker

import (
	"context"
	"time"
)

// ackBatch bounds one XACK.
const ackBatch = 256

type ack struct {
	id     string
	leased bool
}

// acker writes the acknowledgements of one lane, as many at once as have come up
// while the last ones were written. An entry stays claimed until then.
type acker struct {
	lane    *lane
	queue   chan ack
	stopped chan struct{}
}

func newAcker(l *lane) *acker {
	return &acker{lane: l, queue: make(chan ack, 4*ackBatch), stopped: make(chan struct{})}
}

// done gives an entry to be acknowledged. It blocks while Redis is out of reach
// and the queue is full. After the loop has ended it does nothing: the entry
// stays pending.
func (a *acker) done(id string, leased bool) {
	select {
	case a.queue <- ack{id, leased}:
	case <-a.stopped:
	}
}

// loop writes until ctx ends, and then what is queued, once.
func (a *acker) loop(ctx context.Context) {
	defer close(a.stopped)
	wait := newBackoff(50*time.Millisecond, 2*time.Second)
	for {
		var first ack
		select {
		case first = <-a.queue:
		case <-ctx.Done():
			select {
			case first = <-a.queue:
			default:
				return
			}
		}
		pending, leased := a.gather(first)
		for {
			err := a.write(ctx, pending, leased)
			if err == nil {
				wait.reset()
				break
			}
			a.lane.srv.log.WarnContext(ctx, "Acknowledgements are not taken, and are repeated",
				"trigger", a.lane.sub.trigger.key().String(), "error", err)
			if !wait.sleep(ctx) {
				return
			}
		}
		a.lane.held.remove(pending...)
		a.lane.held.remove(leased...)
	}
}

func (a *acker) gather(first ack) (pending, leased []string) {
	add := func(k ack) {
		if k.leased {
			leased = append(leased, k.id)
		} else {
			pending = append(pending, k.id)
		}
	}
	add(first)
	for len(pending)+len(leased) < ackBatch {
		select {
		case k := <-a.queue:
			add(k)
		default:
			return pending, leased
		}
	}
	return pending, leased
}

func (a *acker) write(ctx context.Context, pending, leased []string) error {
	l := a.lane
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*l.srv.cfg.RedisTimeout)
	defer cancel()
	t := l.sub.trigger.Name
	if len(pending) > 0 {
		if err := l.srv.rdb.XAck(ctx, l.part.stream(), t, pending...).Err(); err != nil {
			return err
		}
	}
	if len(leased) > 0 {
		return finishScript.Run(ctx, l.srv.rdb, []string{l.part.due(t), l.part.retries(t)}, anys(leased)...).Err()
	}
	return nil
}

func anys(ss []string) []any {
	out := make([]any, len(ss))
	for i, s := range ss {
		out[i] = s
	}
	return out
}
