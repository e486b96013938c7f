package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/broker/stream"
)

// reader waits in Redis for entries that other processes have stored in the queues
// of this process's Triggers, claims the first of each, and has the writer claim the
// rest. It owns one connection.
type reader struct {
	d      *Dispatcher
	p      *partition
	stream *stream.Reader

	mu sync.Mutex
	// stale: the wait under way is for other queues than those that have room.
	stale bool
	// wakes ends the pause of a loop that watches no queue, stales has interrupter end a
	// wait under way.
	wakes, stales chan struct{}
}

func newReader(d *Dispatcher, p *partition) *reader {
	return &reader{d: d, p: p, stream: p.NewReader(d.consumer), wakes: make(chan struct{}, 1), stales: make(chan struct{}, 1)}
}

// changed has the reader look anew at which queues have room.
func (r *reader) changed() {
	r.mu.Lock()
	was := r.stale
	r.stale = true
	r.mu.Unlock()
	signal(r.wakes)
	if !was {
		signal(r.stales)
	}
}

// interrupter ends waits in Redis that are for other queues than those that have room.
func (r *reader) interrupter(ctx context.Context) {
	for {
		select {
		case <-r.stales:
			r.stream.Interrupt(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (r *reader) loop(ctx context.Context) {
	defer r.stream.Close()
	wait := newBackoff(50*time.Millisecond, 2*time.Second)
	for ctx.Err() == nil {
		names, watched := r.watch()
		if len(names) == 0 {
			select {
			case <-r.wakes:
			case <-ctx.Done():
			}
			continue
		}
		entries, err := r.stream.Wait(ctx, names)
		r.take(entries)
		if err == nil {
			wait.reset()
			continue
		}
		if ctx.Err() != nil {
			return
		}
		var gone *stream.GoneError
		if errors.As(err, &gone) {
			switch recovered, err := r.p.writer.Recover(ctx); {
			case err != nil:
				r.d.log.WarnContext(ctx, "redis read failed, retrying", "read", "routes", "broker", r.d.broker.String(), "error", err)
				if !wait.sleep(ctx) {
					return
				}
			case !recovered:
				r.d.detach(gone.Triggers, watched)
			}
			continue
		}
		if errors.Is(err, stream.ErrLost) {
			if err = r.p.writer.Restore(ctx); err == nil {
				r.d.log.WarnContext(ctx, "redis lost the routes, registered again", "broker", r.d.broker.String())
				continue
			}
		}
		r.p.writer.MarkUncertain() // Redis may have handed out what was not received
		r.d.log.WarnContext(ctx, "redis read failed, retrying", "read", "queues", "broker", r.d.broker.String(), "error", err)
		if !wait.sleep(ctx) {
			return
		}
	}
}

// watch marks the subscriptions that have room, and returns their names and which
// registration of the Trigger each goes by.
func (r *reader) watch() (names []string, watched map[string]registration) {
	r.mu.Lock()
	r.stale = false
	r.mu.Unlock()
	watched = make(map[string]registration)
	for _, s := range r.d.subscriptions() {
		s.mu.Lock()
		at := s.at[r.p]
		at.watched = s.room() > 0
		if at.watched {
			names = append(names, s.name)
			watched[s.name] = registration{s, s.generation}
		}
		s.mu.Unlock()
	}
	return names, watched
}

// take hands over what was claimed; there may be more.
func (r *reader) take(entries []*stream.Entry) {
	if len(entries) == 0 {
		return
	}
	for _, e := range entries {
		if s := r.d.subscription(e.Trigger); s != nil {
			s.claimed(r.p, 0, []*stream.Entry{e}, true, false)
		} else {
			r.p.writer.Settle(stream.Settlement{Entry: e, Outcome: stream.Requeued}) // it has just been removed here
		}
	}
	r.p.writer.Kick()
}

// signal wakes the goroutine that receives from c, whose buffer is one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
