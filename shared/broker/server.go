package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/broker/dispatch"
	"github.com/zixly/sweepline/shared/broker/ingress"
	"github.com/zixly/sweepline/shared/broker/stream"
)

// Server is the data plane of any number of brokers in one process. Its ingress
// (Handler) serves from the first Apply on; deliveries are made while Run runs.
// Several Servers, in one process or in many, may serve the same brokers: they
// share the work.
type Server struct {
	cfg      Config
	store    *stream.Store
	ingress  *ingress.Handler
	metrics  *dispatch.Metrics
	trimmed  *prometheus.CounterVec
	log      *slog.Logger
	consumer string

	// applying is held by Apply from its beginning to its end.
	applying sync.Mutex

	mu     sync.Mutex // guards what follows; never held while anything waits
	set    Set
	served map[Broker]*served
	// start has a dispatcher deliver in Run's context; nil while Run does not run.
	start  func(*dispatch.Dispatcher)
	closed bool
}

// served is one broker in this process.
type served struct {
	broker     Broker
	store      *stream.Store
	spread     int // partitions that new events are spread over
	writers    []*stream.Writer
	dispatcher *dispatch.Dispatcher

	// held are Triggers that other processes have removed; housekeeping's alone.
	held map[string]bool

	mu     sync.Mutex // held while routes are registered: they are what is registered last
	routes stream.RouteSet
	former []int
}

// New makes a Server on the given Redis. It does no I/O. reg may be nil; then
// the metrics are kept but not exported.
func New(cfg Config, client redis.UniversalClient, reg prometheus.Registerer, log *slog.Logger) (*Server, error) {
	if client == nil {
		return nil, errors.New("broker: redis client is nil")
	}
	if log == nil {
		return nil, errors.New("broker: logger is nil")
	}
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("broker configuration: %w", err)
	}
	s := &Server{cfg: cfg, log: log, consumer: cfg.Instance, served: make(map[Broker]*served)}
	if s.consumer == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		s.consumer = host + "-" + uuid.NewString() // never used twice
	}
	s.store = stream.Open(cfg.stream(), client)
	var err error
	if s.ingress, err = ingress.New(ingress.Config{MaxEventBytes: cfg.MaxEventBytes, RedisTimeout: cfg.RedisTimeout, Check: cfg.Check, Admit: cfg.Admit}, reg, log); err != nil {
		return nil, fmt.Errorf("register broker metrics: %w", err)
	}
	if s.metrics, err = dispatch.NewMetrics(reg); err != nil {
		return nil, fmt.Errorf("register broker metrics: %w", err)
	}
	if err := s.registerGauges(reg); err != nil {
		return nil, fmt.Errorf("register broker metrics: %w", err)
	}
	return s, nil
}

// Check reports whether Redis can be reached, is of the kind that the client was
// made for (else the error wraps ErrMisnamed) and keeps what it acknowledges.
// Where it would not, the error wraps ErrNotDurable if the Config requires
// durability; otherwise there is a warning in the log and no error.
func (s *Server) Check(ctx context.Context) error {
	err := s.store.Check(ctx)
	if errors.Is(err, ErrNotDurable) && !s.cfg.RequireDurable {
		s.log.WarnContext(ctx, "redis can lose events that were answered with 202", "error", err)
		return nil
	}
	return err
}

// Ready reports whether the ingress can store events now: in a Redis Cluster, of
// all partitions.
func (s *Server) Ready(ctx context.Context) error { return s.store.Ping(ctx) }

// Handler is the ingress: POST /{namespace}/{broker}.
func (s *Server) Handler() http.Handler { return s.ingress }

// Apply makes set what is served, in whole: Brokers and Triggers are added,
// changed and removed while all others go on. New Triggers are routed to before
// it returns, so events posted afterwards reach them. Triggers of the set's Brokers
// that are no longer in it are not delivered any more, and lose their queue after
// Config.RemovalGrace or by RemoveGone; a Broker that is no longer in it stops, and keeps its data.
// An invalid Trigger is logged and stays what it was. Where a Broker is invalid,
// Redis is out of reach or another process has applied a later version of the set
// (ErrOutdated), nothing that runs is changed. After an error Apply may be
// repeated.
func (s *Server) Apply(ctx context.Context, set Set) error {
	set, err := set.check()
	if err != nil {
		return fmt.Errorf("apply set: %w", err)
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	old, start, closed := s.served, s.start, s.closed
	s.mu.Unlock()
	if closed {
		return stream.ErrClosed
	}
	for _, t := range set.Invalid {
		s.log.ErrorContext(ctx, "trigger is invalid and stays as it was", "trigger", t.String(), "problem", t.Problem)
	}
	next := make(map[Broker]*served, len(set.Brokers))
	var fresh, gone []*served
	var updates []func()
	undo := func() {
		for _, b := range fresh {
			b.close(0)
		}
	}
	for _, name := range set.Brokers {
		routes := set.routes(name)
		b := old[name]
		registered, err := s.register(ctx, b, name, routes)
		var paused map[string]bool
		if err == nil {
			paused, err = s.store.Paused(ctx, name)
		}
		if err != nil {
			undo()
			return fmt.Errorf("apply set: register broker %s: %w", name, err)
		}
		if b == nil || len(b.writers) != len(registered.Partitions) {
			b = s.newServed(name, registered.Partitions)
			b.mu.Lock()
			b.routes, b.former = routes, registered.Former
			b.mu.Unlock()
			fresh = append(fresh, b)
		}
		for i, w := range b.writers {
			w.Expect(registered.Generations[i])
		}
		triggers := set.triggersOf(name)
		updates = append(updates, func() { b.dispatcher.Update(triggers, paused) })
		next[name] = b
	}
	for name, b := range old {
		if next[name] != b {
			gone = append(gone, b)
		}
	}
	s.serve(next)
	for _, update := range updates {
		update()
	}
	s.mu.Lock()
	s.set, s.served = set, next
	s.mu.Unlock()
	if start != nil {
		for _, b := range fresh {
			start(b.dispatcher)
		}
	}
	for _, b := range gone { // its deliveries in flight end behind our back
		go func() {
			b.dispatcher.Stop(s.cfg.DrainTimeout)
			b.close(s.cfg.RedisTimeout)
		}()
	}
	return nil
}

// register puts routes into force for a Broker, which b serves already unless it is nil.
// What is restored at the same time, where Redis has lost its routes, are these or those
// before, never those before after these.
func (s *Server) register(ctx context.Context, b *served, name Broker, routes stream.RouteSet) (stream.Registered, error) {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
	}
	registered, err := s.store.Register(ctx, name, s.cfg.Partitions, routes)
	switch {
	case err != nil:
		return registered, err
	case registered.Old:
		return registered, ErrOutdated
	}
	if b != nil {
		b.routes, b.former = routes, registered.Former
	}
	return registered, nil
}

func (s *Server) newServed(name Broker, partitions []*stream.Partition) *served {
	b := &served{broker: name, store: s.store, spread: s.cfg.Partitions}
	for _, p := range partitions {
		b.writers = append(b.writers, p.NewWriter(s.consumer, s.log, b.restore))
	}
	b.dispatcher = dispatch.New(s.cfg.dispatch(), s.store, b.writers, s.consumer, s.metrics, s.log)
	return b
}

// restore registers the routes again: Redis has lost them.
func (b *served) restore(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.store.Register(ctx, b.broker, len(b.writers), b.routes); err != nil {
		return err
	}
	b.dispatcher.Reattach()
	return nil
}

func (b *served) close(timeout time.Duration) {
	var all sync.WaitGroup
	for _, w := range b.writers {
		all.Go(func() { w.Close(timeout) })
	}
	all.Wait()
}

// serve opens and closes ingress paths.
func (s *Server) serve(brokers map[Broker]*served) {
	open := make(map[Broker]*ingress.Broker, len(brokers))
	for name, b := range brokers {
		b.mu.Lock()
		former := b.former
		b.mu.Unlock()
		open[name] = ingress.NewBroker(name, s.store, b.writers[:b.spread], former)
	}
	s.ingress.Serve(open)
}

func (s Set) routes(b Broker) stream.RouteSet {
	r := stream.RouteSet{Version: s.Version, Partial: s.Partial}
	for _, t := range s.Triggers {
		if t.BrokerOf() == b {
			r.Triggers = append(r.Triggers, t.Registration())
		}
	}
	for _, t := range s.Invalid {
		if t.Namespace == b.Namespace && t.Broker == b.Name {
			r.Keep = append(r.Keep, t.Name)
		}
	}
	return r
}

func (s Set) triggersOf(b Broker) []Trigger {
	return slices.DeleteFunc(slices.Clone(s.Triggers), func(t Trigger) bool { return t.BrokerOf() != b })
}

// Run delivers until ctx ends. Then claiming stops for all Triggers at once,
// deliveries in flight may finish within Config.DrainTimeout, and what remains is
// requeued for other processes to take. The ingress goes on until Close.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.start != nil || s.closed {
		s.mu.Unlock()
		return errors.New("broker: Run is called twice or after Close")
	}
	s.start = func(d *dispatch.Dispatcher) { d.Start(ctx) }
	brokers := s.list()
	s.mu.Unlock()
	for _, b := range brokers {
		b.dispatcher.Start(ctx)
	}
	s.keepHouse(ctx)

	s.mu.Lock()
	s.start = nil
	brokers = s.list()
	s.mu.Unlock()
	var all sync.WaitGroup
	for _, b := range brokers {
		all.Go(func() { s.stop(context.WithoutCancel(ctx), b) })
	}
	all.Wait()
	return nil
}

func (s *Server) stop(ctx context.Context, b *served) {
	if !b.dispatcher.Stop(s.cfg.DrainTimeout) {
		s.log.WarnContext(ctx, "deliveries in flight did not finish in time and are requeued", "broker", b.broker.String())
	}
	ctx, cancel := context.WithTimeout(ctx, 2*s.cfg.RedisTimeout)
	defer cancel()
	for _, w := range b.writers {
		w.Flush(ctx)
	}
	if err := b.dispatcher.Retire(ctx); err != nil { // others will find out by the heartbeat
		s.log.WarnContext(ctx, "consumer not removed", "broker", b.broker.String(), "error", err)
	}
}

// list returns the brokers that are served; mu is held.
func (s *Server) list() []*served {
	out := make([]*served, 0, len(s.served))
	for _, b := range s.served {
		out = append(out, b)
	}
	return out
}

// Close stores what the ingress has accepted and closes the connections. Call
// it after Run has returned and the HTTP server has shut down.
func (s *Server) Close() error {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	brokers := s.list()
	s.mu.Unlock()
	s.ingress.Serve(nil)
	for _, b := range brokers {
		b.dispatcher.Stop(0) // if Run has not been called
		b.close(2 * s.cfg.RedisTimeout)
	}
	if err := s.store.Close(); err != nil {
		return fmt.Errorf("close broker: %w", err)
	}
	return nil
}
