package dispatch

import (
	"context"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zixly/sweepline/shared/broker/stream"
)

// subscription is one Trigger in this process: what it has claimed, what is in
// flight, and how much room is left, so that a slow subscriber slows no one else. It has no
// loop of its own: the loops of its partitions (reader, retrier, heartbeat) and the writer
// hand it what they have claimed, and each delivery is a goroutine that it starts once a
// slot is free.
type subscription struct {
	d    *Dispatcher
	name string
	conf atomic.Pointer[conf]

	mu sync.Mutex
	// waiting are claimed and wait for a free delivery.
	waiting []*delivery
	// running are deliveries in flight, inFlight their events.
	running, inFlight int
	// reserved are claims under way.
	reserved int
	// bytes are those of what waits or is in flight.
	bytes   int
	paused  bool
	stopped bool
	// gone: another process has removed the Trigger; this one has not been told yet.
	gone bool
	// generation counts the Updates that have named the Trigger.
	generation int
	// at each partition
	at map[*partition]*claims
	// idle is closed when the last delivery of a stopped subscription has ended.
	idle chan struct{}
}

const (
	// claimMost bounds one claim.
	claimMost = 256
	// aheadMost bounds the events of a Trigger that are claimed before there is a
	// free delivery for them.
	aheadMost = 64
	// batchBytes bounds the data of one batch, unless a single event has more.
	batchBytes = 512 << 10
	// bytesMost bounds the bytes of a Trigger's claimed events: more are claimed only
	// once it is below. Retries may have as much again.
	bytesMost = 16 << 20
)

// conf is what a subscription works by; it is replaced as a whole when the Trigger
// changes.
type conf struct {
	trigger Trigger
	sender  *sender
	metrics *triggerMetrics
	// slots bounds deliveries in flight, batch the events of one, ahead what is
	// claimed besides.
	slots, batch, ahead int
}

// claims are what a subscription has of one partition.
type claims struct {
	held map[string]*delivery // by entry id, until settled
	// backlog: there may be more in the queue than was claimed; late: retries may be
	// due that there was no room for.
	backlog, late bool
	// watched: the reader waits for this queue.
	watched bool
}

func newSubscription(d *Dispatcher, t Trigger) *subscription {
	s := &subscription{d: d, name: t.Name, at: make(map[*partition]*claims), idle: make(chan struct{})}
	for _, p := range d.parts {
		s.at[p] = &claims{held: make(map[string]*delivery), backlog: true}
	}
	s.configure(t)
	return s
}

// configure takes the Trigger's new form up; deliveries in flight end in the old.
func (s *subscription) configure(t Trigger) {
	m := s.d.metrics.of(t)
	c := &conf{
		trigger: t, metrics: m, sender: newSender(&s.d.cfg, s.d.transport, t, m, s.d.log),
		slots: t.Parallelism, batch: max(t.BatchSize, 1),
	}
	if c.slots <= 0 {
		c.slots = s.d.cfg.Parallelism
	}
	c.ahead = min(c.slots*c.batch, max(aheadMost, c.batch))
	s.conf.Store(c)
}

// held reports whether nothing is to be delivered; mu is held.
func (s *subscription) held() bool { return s.paused || s.conf.Load().trigger.Hold }

// room is how many entries may be claimed now; mu is held.
func (s *subscription) room() int {
	if s.held() || s.stopped || s.gone {
		return 0
	}
	if s.bytes >= bytesMost {
		return 0
	}
	c := s.conf.Load()
	return c.slots*c.batch + c.ahead - s.inFlight - len(s.waiting) - s.reserved
}

// want reserves room for a claim at a partition, if there is reason for one.
func (s *subscription) want(p *partition, touched bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at[p]
	if at == nil || (!touched && !at.backlog) {
		return 0
	}
	n := min(s.room(), claimMost)
	if n <= 0 {
		at.backlog = true
		return 0
	}
	at.backlog = false
	s.reserved += n
	return n
}

// wantRetries is want for retries: they have room that new events don't fill, or a
// busy Trigger would never come to them.
func (s *subscription) wantRetries(p *partition) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at[p]
	if at == nil || s.held() || s.stopped {
		return 0
	}
	c := s.conf.Load()
	n := min(max(s.room(), 0)+c.slots-s.excess(), claimMost)
	if s.bytes >= 2*bytesMost {
		n = 0
	}
	at.late = n <= 0
	if n <= 0 {
		return 0
	}
	s.reserved += n
	return n
}

// excess is how far retries have gone beyond the room of new events.
func (s *subscription) excess() int {
	c := s.conf.Load()
	return max(s.inFlight+len(s.waiting)+s.reserved-c.slots*c.batch-c.ahead, 0)
}

// claimed takes over what a claim of n entries has brought. first puts it before
// what waits: retries are older.
func (s *subscription) claimed(p *partition, n int, entries []*stream.Entry, more, first bool) {
	c := s.conf.Load()
	var fresh []*delivery
	s.mu.Lock()
	s.reserved -= n
	at := s.at[p]
	at.backlog = at.backlog || more
	for _, e := range entries {
		if held := at.held[e.ID]; held != nil && !held.settled {
			continue // it is in flight here, and its outcome is this claim's, too
		}
		// One that is settled is let go once the answer to its commit is here. Until
		// then Redis may have handed it out again: a retry that was due at once.
		d := &delivery{part: p, entry: e, state: DecodeState(e.State)}
		at.held[e.ID] = d
		fresh = append(fresh, d)
	}
	s.mu.Unlock()
	good := fresh[:0]
	for _, d := range fresh {
		if d.entry.Message != nil && !d.entry.Deleted {
			good = append(good, d)
			continue
		}
		s.skip(c, d)
	}
	s.mu.Lock()
	if first {
		s.waiting = append(good[:len(good):len(good)], s.waiting...)
	} else {
		s.waiting = append(s.waiting, good...)
	}
	s.bytes += sizeOf(good)
	stopped := s.stopped
	var calls []func()
	if len(entries) < n { // reserved room that was not needed
		calls = s.roomMade()
	}
	s.mu.Unlock()
	if stopped {
		s.handBack()
		return
	}
	s.deliver()
	for _, call := range calls {
		call()
	}
}

// skip handles an entry that this process cannot deliver. One that was deleted is
// forgotten. One of a later version is left for a process of that version, for as long
// as a rollout may take. One that nobody can read is kept among the dead letters.
func (s *subscription) skip(c *conf, d *delivery) {
	if d.entry.Deleted {
		c.metrics.deleted.Inc()
		s.d.log.Warn("pending entry skipped: deleted", "trigger", c.trigger.String(), "entry_id", d.entry.ID)
		s.forget(d)
		return
	}
	reason := "the stored event is corrupt"
	if d.entry.Newer {
		if wait, ok := newerWait(d.entry.Origin); ok {
			c.metrics.newer.Inc()
			s.postpone(d, wait, d.entry.State)
			return
		}
		reason = "the stored event is of a later version, and no process of that version has delivered it"
	}
	c.metrics.corrupt.Inc()
	s.d.log.Error("entry cannot be read, kept as dead letter", "trigger", c.trigger.String(), "entry_id", d.entry.ID)
	d.state.Data, d.state.Dead, d.state.Origin = []byte(reason), true, d.entry.Origin
	d.state.First = time.Now().UnixMilli()
	s.settle(d, stream.Settlement{
		Outcome: stream.Dead, State: d.state.Encode(),
		Done: func(ours bool) {
			if ours {
				c.metrics.dead.Inc()
				c.metrics.listed.Inc()
			}
		},
	})
}

// newerFor bounds how long an entry of a later version waits for a process of that
// version.
const newerFor = 24 * time.Hour

// newerWait is how long to leave an entry of a later version to others: longer the older
// it is. It returns false where it has waited for long enough.
func newerWait(origin string) (time.Duration, bool) {
	ms, _, ok := stream.SplitID(origin)
	if !ok {
		return 0, false
	}
	age := time.Since(time.UnixMilli(ms))
	// An id of the far future is none of ours: whoever wrote it, nobody comes for it.
	return min(max(age/4, time.Second), time.Minute), age.Abs() < newerFor
}

// deliver starts deliveries as long as there are free ones and something waits.
func (s *subscription) deliver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		batch := s.next()
		if batch == nil {
			return
		}
		s.running++
		go s.run(batch)
	}
}

// next takes what goes out together; mu is held. Whether it has to be one by one
// only the attempt knows: dead ones go to the sink.
func (s *subscription) next() []*delivery {
	c := s.conf.Load()
	if s.held() || s.stopped || len(s.waiting) == 0 || s.running >= c.slots {
		return nil
	}
	n, bytes, most := 1, s.waiting[0].size(), s.waiting[0].batchLimit(c.batch)
	for n < min(most, len(s.waiting)) && bytes+s.waiting[n].size() <= batchBytes {
		if most = min(most, s.waiting[n].batchLimit(c.batch)); n >= most {
			break
		}
		bytes += s.waiting[n].size()
		n++
	}
	batch := append([]*delivery(nil), s.waiting[:n]...)
	rest := copy(s.waiting, s.waiting[n:])
	clear(s.waiting[rest:])
	s.waiting = s.waiting[:rest]
	s.inFlight += n
	return batch
}

// run delivers one batch after the other, until nothing waits.
func (s *subscription) run(batch []*delivery) {
	for batch != nil {
		s.attempt(s.d.work, batch)
		s.mu.Lock()
		s.inFlight -= len(batch)
		s.bytes -= sizeOf(batch)
		s.running--
		if batch = s.next(); batch != nil {
			s.running++
		}
		ended := s.stopped && s.running == 0
		calls := s.roomMade()
		s.mu.Unlock()
		if ended {
			s.ended()
		}
		for _, call := range calls {
			call()
		}
	}
}

// roomMade says whom to tell that there is room again; mu is held.
func (s *subscription) roomMade() []func() {
	c := s.conf.Load()
	room := s.room()
	if room <= 0 || len(s.waiting) > c.ahead/2 {
		return nil
	}
	var calls []func()
	for p, at := range s.at {
		switch {
		case at.backlog:
			calls = append(calls, p.writer.Kick)
		case !at.watched:
			calls = append(calls, p.reader.changed)
		}
		if at.late {
			at.late = false
			calls = append(calls, p.retrier.wake)
		}
	}
	return calls
}

// settle hands an outcome to the writer and forgets the entry once it is written.
func (s *subscription) settle(d *delivery, st stream.Settlement) {
	st.Entry = d.entry
	s.mu.Lock()
	d.settled = true
	s.mu.Unlock()
	done := st.Done
	st.Done = func(ours bool) {
		s.forget(d)
		if done != nil {
			done(ours)
		}
	}
	d.part.writer.Settle(st)
}

func (s *subscription) forget(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.at[d.part]; at != nil && at.held[d.entry.ID] == d {
		delete(at.held, d.entry.ID)
	}
}

// holds reports whether this process knows of an entry that it has pending.
func (s *subscription) holds(p *partition) func(id string) bool {
	return func(id string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.at[p].held[id] != nil
	}
}

// waitingAt is what waits here of a partition's.
func (s *subscription) waitingAt(p *partition) map[*delivery]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[*delivery]bool, len(s.waiting))
	for _, d := range s.waiting {
		if d.part == p {
			out[d] = true
		}
	}
	return out
}

// drop forgets those that still wait here and are not pending under our name any
// more.
func (s *subscription) drop(those map[*delivery]bool, pending map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.waiting[:0]
	for _, d := range s.waiting {
		if those[d] && !pending[d.entry.ID] {
			if held := s.at[d.part].held; held[d.entry.ID] == d {
				delete(held, d.entry.ID)
			}
			s.bytes -= d.size()
			continue
		}
		kept = append(kept, d)
	}
	clear(s.waiting[len(kept):])
	s.waiting = kept
}

// lookAgain has all queues claimed from that were left alone; mu is held.
func (s *subscription) lookAgain() {
	for _, at := range s.at {
		at.backlog = true
	}
}

// setPaused stops or resumes deliveries; what is in flight finishes.
func (s *subscription) setPaused(paused bool) {
	s.mu.Lock()
	changed := s.paused != paused
	s.paused = paused
	if changed && !paused {
		s.lookAgain()
	}
	s.mu.Unlock()
	if !changed {
		return
	}
	if !paused {
		s.deliver()
	}
	for _, p := range s.d.parts {
		p.reader.changed()
		p.retrier.wake()
		p.writer.Kick()
	}
}

// stop ends the claiming. What waits goes back to be delivered by others; what is in
// flight goes on. It does not wait: idle is closed when the last has ended.
func (s *subscription) stop() {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return
	}
	s.stopped = true
	none := s.running == 0
	s.mu.Unlock()
	s.handBack()
	if none {
		s.ended()
	}
}

func (s *subscription) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.idle:
	default:
		close(s.idle)
	}
}

func (s *subscription) handBack() {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting = nil
	s.bytes -= sizeOf(waiting)
	s.mu.Unlock()
	for _, d := range waiting {
		s.giveBack(d)
	}
}

// await waits until nothing is in flight, or ctx ends.
func (s *subscription) await(ctx context.Context) bool {
	select {
	case <-s.idle:
		return true
	case <-ctx.Done():
		return false
	}
}

// WithoutCredentials is a URL without its user information: what is kept and shown
// of an address that events are posted to.
func WithoutCredentials(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}
