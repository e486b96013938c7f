package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/broker/stream"
)

// retrier claims the retries of a partition when they are due. It sleeps until then;
// what other processes have scheduled it finds within Config.ClaimIdle, should they
// die before.
type retrier struct {
	d *Dispatcher
	p *partition

	mu    sync.Mutex
	next  time.Time // when the loop will look; zero while it does
	wakes chan struct{}
}

func newRetrier(d *Dispatcher, p *partition) *retrier {
	return &retrier{d: d, p: p, wakes: make(chan struct{}, 1)}
}

// expect tells of a retry that is due after that time.
func (r *retrier) expect(wait time.Duration) {
	r.mu.Lock()
	sooner := r.next.IsZero() || time.Now().Add(wait).Before(r.next)
	r.mu.Unlock()
	if sooner {
		r.wake()
	}
}

// wake has the loop look again at once: a retry was scheduled that is due before its next look.
func (r *retrier) wake() {
	signal(r.wakes)
}

// loop claims the retries that are due, and sleeps until the next one is.
func (r *retrier) loop(ctx context.Context) {
	wait := newBackoff(50*time.Millisecond, 2*time.Second)
	for ctx.Err() == nil {
		r.mu.Lock()
		r.next = time.Time{} // what is scheduled from now on may be missed by the look
		r.mu.Unlock()
		pause, err := r.claim(ctx)
		if err != nil {
			r.p.writer.MarkUncertain()
			r.d.log.WarnContext(ctx, "redis read failed, retrying", "read", "retries", "broker", r.d.broker.String(), "error", err)
			if !wait.sleep(ctx) {
				return
			}
			continue
		}
		wait.reset()
		r.mu.Lock()
		r.next = time.Now().Add(pause)
		r.mu.Unlock()
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-r.wakes:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// claim takes what is due and returns how long to sleep.
func (r *retrier) claim(ctx context.Context) (time.Duration, error) {
	subs := make(map[string]*subscription)
	var wants []stream.Want
	for _, s := range r.d.subscriptions() {
		if n := s.wantRetries(r.p); n > 0 {
			subs[s.name] = s
			wants = append(wants, stream.Want{Trigger: s.name, Count: n, Owner: s})
		}
	}
	pause := r.d.cfg.ClaimIdle
	if len(wants) == 0 {
		return pause, nil
	}
	entries, next, lost, err := r.p.Due(ctx, r.d.consumer, wants)
	by := make(map[string][]*stream.Entry)
	for _, e := range entries {
		by[e.Trigger] = append(by[e.Trigger], e)
	}
	for _, w := range wants {
		subs[w.Trigger].claimed(r.p, w.Count, by[w.Trigger], false, true)
		if len(by[w.Trigger]) >= w.Count {
			pause = 0
		}
	}
	if err != nil {
		return 0, err
	}
	if lost > 0 {
		r.d.log.WarnContext(ctx, "retries dropped: their entries were deleted", "broker", r.d.broker.String(), "retries", lost)
	}
	if next >= 0 {
		pause = min(pause, next)
	}
	return pause, nil
}
