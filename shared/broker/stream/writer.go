package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
)

const (
	// groupWrites and groupBytes bound one commit, so that Redis is never kept from
	// other work for long.
	groupWrites = 256
	groupBytes  = 4 << 20
	// commitsInFlight overlaps the building of one group with the storing of
	// another.
	commitsInFlight = 2
	// linger is how long an acknowledgement that nobody waits for may wait for
	// others to go with.
	linger = time.Millisecond
	// queueBytes bounds published events that wait while Redis is slow or away.
	queueBytes = 64 << 20
	// reroutes bounds how often one commit is routed anew.
	reroutes = 8
)

// Stored says where an event went.
type Stored struct {
	ID string
	// Duplicate: it was stored before, under that ID.
	Duplicate bool
}

// Writer carries every write of this process to one partition. What comes while a
// commit is on its way goes with the next one: one round trip and one fsync for
// many steps.
type Writer struct {
	p        *Partition
	consumer string
	log      *slog.Logger
	// restore registers the routes again where Redis has lost them.
	restore func(context.Context) error

	routesMu sync.Mutex
	routes   *routes
	// generation is the latest of the routes that was seen.
	generation string

	mu      sync.Mutex
	queue   []*write
	claimer Claimer
	kicked  bool // claims are wanted, even if nothing is to be written
	// published is the bytes of published events in the queue.
	published int
	// resume is when settlements and claims are tried again after a failure, wait the
	// pause.
	resume time.Time
	wait   time.Duration
	// most bounds the settlements of one commit. It is halved while Redis refuses what
	// is in a commit, so that one bad settlement cannot hold up the rest.
	most   int
	armed  bool // a timer will wake the loop
	closed bool

	// uncertain: claims may have been made that this process does not know of.
	uncertain atomic.Bool
	// broken is what Store.broken was when the mark was last taken.
	broken atomic.Int64

	wake    chan struct{}
	slots   chan struct{}
	stopped chan struct{}
	// work ends when settlements are given up; then their entries stay claimed.
	work     context.Context
	stopWork context.CancelFunc
}

// write is one party's share of a commit: published events, or a settlement with
// the replies that go with it.
type write struct {
	events []*stored
	settle *Settlement
	bytes  int
	// priority: the events belong to accepted work and have room beyond the cap.
	priority bool

	result []Stored
	err    error
	done   chan struct{}
	// trimmed: history has given way for it once.
	trimmed bool
	// abandoned: nobody waits for it any more.
	abandoned atomic.Bool
}

// stored is an event prepared for the commit.
type stored struct {
	msg              *cloudevent.Message
	digest, typ, key string
	payload          string
}

// NewWriter starts a writer. restore is called where Redis has no routes of the
// Broker; it must register them.
func (p *Partition) NewWriter(consumer string, log *slog.Logger, restore func(context.Context) error) *Writer {
	w := &Writer{
		p: p, consumer: consumer, log: log, restore: restore,
		wake:    make(chan struct{}, 1),
		slots:   make(chan struct{}, commitsInFlight),
		stopped: make(chan struct{}),
		most:    groupWrites,
	}
	w.work, w.stopWork = context.WithCancel(context.Background())
	go w.loop()
	return w
}

// Partition is what it writes to.
func (w *Writer) Partition() *Partition { return w.p }

// SetClaimer has claims made for c from now on; nil ends that.
func (w *Writer) SetClaimer(c Claimer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claimer = c
}

// Publish stores the messages and returns when they are durable: all or none of up to
// groupWrites of them or groupBytes, more one such group after the other, so that
// others' events go between. It returns ErrFull, ErrNoMemory, ErrClosed or what Redis
// or the journal said; then only what groups before it hold is stored. Should ctx end
// first they may be stored all the same, which a repeat finds out. Priority messages
// belong to work that was accepted before: they have room beyond the cap.
func (w *Writer) Publish(ctx context.Context, priority bool, messages ...*cloudevent.Message) ([]Stored, error) {
	if len(messages) <= 1 {
		return w.publish(ctx, priority, messages)
	}
	all := make([]Stored, 0, len(messages))
	for len(messages) > 0 {
		n := groupOf(messages)
		stored, err := w.publish(ctx, priority, messages[:n])
		if err != nil {
			return nil, err
		}
		all, messages = append(all, stored...), messages[n:]
	}
	return all, nil
}

// groupOf is how many of the messages go with one commit.
func groupOf(messages []*cloudevent.Message) int {
	bytes := 0
	for i, m := range messages {
		if bytes += m.EncodedSize(); i == groupWrites || i > 0 && bytes > groupBytes {
			return i
		}
	}
	return len(messages)
}

func (w *Writer) publish(ctx context.Context, priority bool, messages []*cloudevent.Message) ([]Stored, error) {
	wr := &write{priority: priority, done: make(chan struct{})}
	wr.prepare(messages)
	if err := w.enqueue(wr, true); err != nil {
		return nil, err
	}
	select {
	case <-wr.done:
		return wr.result, wr.err
	case <-ctx.Done():
		wr.abandoned.Store(true)
		return nil, fmt.Errorf("store events: %w", ctx.Err())
	}
}

// Settle ends a delivery. It does not wait: what cannot be written is repeated
// until it is, or until Close; the entry stays claimed meanwhile.
func (w *Writer) Settle(s Settlement) {
	wr := &write{settle: &s, priority: true}
	wr.prepare(s.Replies)
	_ = w.enqueue(wr, len(s.Replies) > 0 || s.Outcome == RetryLater || s.Entry.Key != "")
}

// Kick makes a commit for the sake of its claims.
func (w *Writer) Kick() {
	w.mu.Lock()
	w.kicked = true
	w.mu.Unlock()
	w.signal()
}

// Flush waits until all that is queued now is written, or ctx ends.
func (w *Writer) Flush(ctx context.Context) {
	w.signal()
	for {
		w.mu.Lock()
		empty := len(w.queue) == 0
		w.mu.Unlock()
		if empty && w.quiet() {
			return
		}
		if !sleep(ctx, linger) {
			return
		}
		w.signal()
	}
}

// quiet reports whether no commit is on its way.
func (w *Writer) quiet() bool {
	taken := 0
	defer func() {
		for range taken {
			<-w.slots
		}
	}()
	for range commitsInFlight {
		select {
		case w.slots <- struct{}{}:
			taken++
		default:
			return false
		}
	}
	return true
}

// Close commits what is queued and stops. Settlements that Redis does not take
// within the given time are given up.
func (w *Writer) Close(timeout time.Duration) {
	w.mu.Lock()
	already := w.closed
	w.closed = true
	w.mu.Unlock()
	if already {
		<-w.stopped
		return
	}
	timer := time.AfterFunc(timeout, w.stopWork)
	defer timer.Stop()
	w.signal()
	<-w.stopped
	w.stopWork()
}

func (wr *write) prepare(messages []*cloudevent.Message) {
	for _, m := range messages {
		e := &stored{msg: m, digest: m.Digest(), typ: m.TypeDigest(), key: orderKey(m), payload: string(m.Encode())}
		wr.bytes += len(e.payload)
		wr.events = append(wr.events, e)
	}
}

func (w *Writer) enqueue(wr *write, urgent bool) error {
	w.mu.Lock()
	if wr.settle == nil {
		if w.closed {
			w.mu.Unlock()
			return ErrClosed
		}
		if w.published > 0 && w.published+wr.bytes > queueBytes {
			w.mu.Unlock()
			return ErrBusy
		}
		w.published += wr.bytes
	}
	w.queue = append(w.queue, wr)
	urgent = urgent || w.closed || len(w.queue) >= groupWrites/2
	arm := !urgent && !w.armed
	w.armed = w.armed || arm
	w.mu.Unlock()
	switch {
	case urgent:
		w.signal()
	case arm:
		time.AfterFunc(linger, w.signal)
	}
	return nil
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Writer) loop() {
	defer close(w.stopped)
	for range w.wake {
		for {
			w.slots <- struct{}{} // while this waits, the queue fills
			group, claim, closed := w.take()
			if len(group) == 0 && !claim {
				<-w.slots
				if closed && w.idle() {
					return
				}
				break
			}
			go func() {
				w.commit(group)
				<-w.slots
				w.signalIfClosed()
			}()
		}
	}
}

// idle waits for the commits on their way and reports whether they have left
// nothing to do.
func (w *Writer) idle() bool {
	for range commitsInFlight {
		w.slots <- struct{}{}
	}
	defer func() {
		for range commitsInFlight {
			<-w.slots
		}
	}()
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) == 0
}

func (w *Writer) signalIfClosed() {
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	if closed {
		w.signal()
	}
}

// take gathers one group. After a failure settlements wait, and claims for whose sake
// alone a commit would be made; what publishers have given up is left out.
func (w *Writer) take() (group []*write, claim, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	held := time.Now().Before(w.resume) && w.work.Err() == nil
	if !held {
		claim, w.kicked = w.kicked && w.claimer != nil, false
	}
	bytes, events, settlements := 0, 0, 0
	kept := w.queue[:0]
	for _, wr := range w.queue {
		switch {
		case wr.abandoned.Load():
			w.unqueue(wr)
		case len(group)+events >= groupWrites, bytes >= groupBytes, wr.settle != nil && (held || settlements >= w.most):
			kept = append(kept, wr)
		default:
			w.unqueue(wr)
			if wr.settle != nil {
				settlements++
			}
			bytes += wr.bytes
			events += len(wr.events)
			group = append(group, wr)
		}
	}
	clear(w.queue[len(kept):])
	w.queue = kept
	return group, claim, w.closed
}

func (w *Writer) unqueue(wr *write) {
	if wr.settle == nil {
		w.published -= wr.bytes
	}
}

func isNil(err error) bool { return errors.Is(err, redis.Nil) }

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
