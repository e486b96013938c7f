package broker

import (
	"context"
	"sync"
	"sync/atomic"
)

// subscription runs one Trigger in this process: a lane for each stream of its
// broker, and the slots that bound its deliveries in flight, so that a slow
// subscriber slows no one else.
type subscription struct {
	srv     *Server
	trigger Trigger
	lanes   []*lane
	slots   chan struct{}
	metrics *triggerMetrics
	courier *courier

	paused atomic.Bool
	// changed is closed and replaced whenever paused changes.
	mu      sync.Mutex
	changed chan struct{}

	stopReading context.CancelFunc
	readers     sync.WaitGroup
}

func newSubscription(s *Server, t Trigger, partitions int) *subscription {
	n := t.Parallelism
	if n <= 0 {
		n = s.cfg.Parallelism
	}
	sub := &subscription{
		srv: s, trigger: t,
		slots:   make(chan struct{}, n),
		metrics: s.metrics.of(t.key()),
		changed: make(chan struct{}),
	}
	sub.courier = newCourier(sub)
	for p := range partitions {
		sub.lanes = append(sub.lanes, newLane(sub, newPartition(t.broker(), p)))
	}
	return sub
}

// start runs the lanes until stop; work is the context of what is in flight.
func (sub *subscription) start(work context.Context) {
	reading, cancel := context.WithCancel(work)
	sub.stopReading = cancel
	sub.refreshPause(work)
	sub.srv.wg.Add(1)
	var lanes sync.WaitGroup
	for _, l := range sub.lanes {
		sub.readers.Add(1)
		lanes.Go(func() { l.run(reading, work, sub.readers.Done) })
	}
	go func() {
		lanes.Wait()
		sub.srv.wg.Done()
	}()
}

// stop ends the reading and returns when nothing more is read; deliveries in
// flight go on.
func (sub *subscription) stop() {
	if sub.stopReading == nil {
		return
	}
	sub.stopReading()
	sub.readers.Wait()
}

func (sub *subscription) setPaused(paused bool) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.paused.Swap(paused) != paused {
		close(sub.changed)
		sub.changed = make(chan struct{})
	}
}

func (sub *subscription) pauseChanged() <-chan struct{} {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.changed
}

// whileRunning blocks as long as the trigger is paused. It returns false if ctx
// ends first.
func (sub *subscription) whileRunning(ctx context.Context) bool {
	for {
		changed := sub.pauseChanged()
		if !sub.paused.Load() {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// acquire takes a delivery slot, unless ctx ends first.
func (sub *subscription) acquire(ctx context.Context) bool {
	select {
	case sub.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (sub *subscription) release() { <-sub.slots }
