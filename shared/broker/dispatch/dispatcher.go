package dispatch

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/broker/stream"
)

// Dispatcher delivers one Broker's events in this process. Several, in one process
// or in many, may deliver for the same Broker: they share the work.
type Dispatcher struct {
	cfg       Config
	broker    stream.Broker
	store     *stream.Store
	consumer  string
	metrics   *Metrics
	log       *slog.Logger
	transport http.RoundTripper
	parts     []*partition
	// work is the context of deliveries in flight; it outlives the claiming.
	work     context.Context
	stopWork context.CancelFunc

	rates rates

	mu   sync.Mutex
	subs map[string]*subscription
	// leaving are subscriptions that are stopped and may still have deliveries.
	leaving []*subscription
	stopped bool

	loops    sync.WaitGroup
	stopLoop context.CancelFunc
}

// partition is one partition of the Broker as this process works on it.
type partition struct {
	*stream.Partition

	writer  *stream.Writer
	reader  *reader
	retrier *retrier
}

// New makes a Dispatcher for the Broker whose partitions the writers write to, in
// order. consumer is this process's name in every group; no other process that is
// alive may have it. It does no I/O.
func New(cfg Config, store *stream.Store, writers []*stream.Writer, consumer string, m *Metrics, log *slog.Logger) *Dispatcher {
	d := &Dispatcher{
		cfg: cfg, store: store, consumer: consumer, metrics: m, log: log, transport: cfg.Transport,
		broker: writers[0].Partition().Broker,
		subs:   make(map[string]*subscription),
	}
	if d.transport == nil {
		d.transport = NewTransport(nil)
	}
	for _, w := range writers {
		p := &partition{Partition: w.Partition(), writer: w}
		p.reader, p.retrier = newReader(d, p), newRetrier(d, p)
		d.parts = append(d.parts, p)
	}
	return d
}

// Update makes the Triggers those that are delivered, but for the paused ones. It
// does not wait for what is in flight.
func (d *Dispatcher) Update(triggers []Trigger, paused map[string]bool) {
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		return
	}
	next := make(map[string]bool, len(triggers))
	var gone []*subscription
	for _, t := range triggers {
		next[t.Name] = true
		s := d.subs[t.Name]
		if s != nil {
			s.attach()
		}
		switch {
		case s == nil:
			s = newSubscription(d, t)
			s.paused = paused[t.Name]
			d.subs[t.Name] = s
		case !s.conf.Load().trigger.same(t):
			was := s.conf.Load().trigger.Hold
			s.configure(t)
			if was && !t.Hold {
				s.mu.Lock()
				s.lookAgain()
				s.mu.Unlock()
				s.deliver()
			}
		}
	}
	for name, s := range d.subs {
		if !next[name] {
			gone = append(gone, s)
			delete(d.subs, name)
			d.metrics.forget(s.conf.Load().trigger)
		}
	}
	d.leaving = append(slices.DeleteFunc(d.leaving, func(s *subscription) bool {
		select {
		case <-s.idle:
			return true
		default:
			return false
		}
	}), gone...)
	d.mu.Unlock()
	for _, s := range gone {
		s.stop()
	}
	for _, p := range d.parts {
		p.reader.changed()
		p.retrier.wake()
		p.writer.Kick()
	}
}

// registration is a subscription as of one Update.
type registration struct {
	s          *subscription
	generation int
}

// detach ends the claiming for Triggers that are not registered any more, until
// Update names them again. It may have done so since they were looked for.
func (d *Dispatcher) detach(triggers []string, watched map[string]registration) {
	for _, name := range triggers {
		if n := watched[name]; n.s.detach(n.generation) {
			d.log.Info("trigger was removed by another process", "trigger", n.s.conf.Load().trigger.String())
		}
	}
}

func (s *subscription) detach(generation int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation || s.gone || s.stopped {
		return false
	}
	s.gone = true
	return true
}

// attach is called by each Update that names the Trigger: it is registered.
func (s *subscription) attach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	if s.gone {
		s.gone = false
		for _, at := range s.at {
			at.backlog = true
		}
	}
}

// Reattach goes on with Triggers that had gone: they are registered again.
func (d *Dispatcher) Reattach() {
	for _, s := range d.subscriptions() {
		s.attach()
	}
	for _, p := range d.parts {
		p.reader.changed()
	}
}

// Start begins to claim and deliver, until Stop: ctx gives its values to the
// deliveries and does not end them. It returns at once; where Redis is away it
// begins when Redis is there.
func (d *Dispatcher) Start(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	d.work, d.stopWork = context.WithCancel(ctx)
	ctx, d.stopLoop = context.WithCancel(ctx)
	for _, p := range d.parts {
		d.loops.Go(func() { d.runPartition(ctx, p) })
	}
	d.loops.Go(func() { d.watch(ctx) })
}

// runPartition shows that this process is alive before it claims anything: what a
// consumer without a heartbeat holds is taken from it.
func (d *Dispatcher) runPartition(ctx context.Context, p *partition) {
	wait := newBackoff(50*time.Millisecond, time.Second)
	var first time.Time // as in keepAlive: Redis was away when we came
	for {
		_, err := p.Beat(ctx, d.consumer)
		if err == nil {
			break
		}
		first = time.Now().Add(d.cfg.ClaimIdle)
		d.log.WarnContext(ctx, "redis write failed, retrying", "write", "heartbeat", "broker", d.broker.String(), "error", err)
		if !wait.sleep(ctx) {
			return
		}
	}
	if d.cfg.Named { // before anything is claimed: all that is pending is the predecessor's
		d.findUnknown(ctx, p, 0)
	}
	p.writer.SetClaimer(&claimer{d, p})
	p.writer.Kick()
	var loops sync.WaitGroup
	loops.Go(func() { p.reader.loop(ctx) })
	loops.Go(func() { p.reader.interrupter(ctx) })
	loops.Go(func() { p.retrier.loop(ctx) })
	loops.Go(func() { d.keepAlive(ctx, p, first) })
	loops.Wait()
}

// Stop ends the claiming at once for all Triggers, lets deliveries in flight finish
// within drain, and gives back what remains. It returns false where some did not
// finish.
func (d *Dispatcher) Stop(drain time.Duration) bool {
	d.mu.Lock()
	d.stopped = true
	subs := append(slices.Clone(d.leaving), d.list()...)
	d.mu.Unlock()
	for _, p := range d.parts {
		p.writer.SetClaimer(nil)
	}
	if d.stopLoop != nil {
		d.stopLoop()
		for _, p := range d.parts {
			p.reader.stream.Interrupt(context.Background())
		}
	}
	for _, s := range subs {
		s.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	drained := true
	for _, s := range subs {
		drained = s.await(ctx) && drained
	}
	if d.stopWork != nil {
		d.stopWork() // what is still in flight is cut off, and requeued
	}
	for _, s := range subs {
		<-s.idle
	}
	d.loops.Wait()
	for _, s := range subs {
		s.handBack() // a claim that was under way
	}
	d.writeRates(context.WithoutCancel(ctx))
	return drained
}

// Retire takes this process out of the consumer groups, after the writers have
// written what Stop left them. What it still holds others take over.
func (d *Dispatcher) Retire(ctx context.Context) error {
	var first error
	for _, p := range d.parts {
		if err := p.Retire(ctx, d.consumer, d.names()); err != nil && first == nil {
			first = err
		}
	}
	for _, name := range d.names() { // others look at what was requeued
		if err := d.store.Announce(ctx, d.broker, name); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// list returns the subscriptions; mu is held.
func (d *Dispatcher) list() []*subscription {
	out := make([]*subscription, 0, len(d.subs))
	for _, s := range d.subs {
		out = append(out, s)
	}
	return out
}

func (d *Dispatcher) subscriptions() []*subscription {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.list()
}

func (d *Dispatcher) names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]string, 0, len(d.subs))
	for name := range d.subs {
		out = append(out, name)
	}
	return out
}

func (d *Dispatcher) subscription(name string) *subscription {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.subs[name]
}

// claimer has the writer claim for all subscriptions. It implements stream.Claimer.
type claimer struct {
	d *Dispatcher
	p *partition
}

func (c *claimer) Wants(touched map[string]bool) []stream.Want {
	var wants []stream.Want
	for _, s := range c.d.subscriptions() {
		if n := s.want(c.p, touched[s.name]); n > 0 {
			wants = append(wants, stream.Want{Trigger: s.name, Count: n, Owner: s})
		}
	}
	return wants
}

func (c *claimer) Claimed(want stream.Want, entries []*stream.Entry, more bool) {
	s, _ := want.Owner.(*subscription)
	s.claimed(c.p, want.Count, entries, more, false)
}
