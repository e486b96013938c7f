package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// readerPool bounds the connections that wait in Redis: one for each Trigger
// and partition. It is a ceiling, connections are opened as they are needed.
const readerPool = 4096

// Server is the data plane of any number of brokers in one process. Its ingress
// (Handler) serves from the first Apply on; deliveries are made while Run runs.
// Several Servers, in one process or in many, may serve the same brokers: they
// share the work.
type Server struct {
	cfg     Config
	rdb     redis.UniversalClient
	readers redis.UniversalClient
	owned   []redis.UniversalClient
	metrics *metrics
	log     *slog.Logger
	// consumer is this process's name in every group, never used twice.
	consumer string
	http     *http.Client

	meshes atomic.Pointer[map[Broker]*mesh]

	mu      sync.Mutex // guards what follows; held while a set is applied
	applied map[Broker]bool
	subs    map[triggerKey]*subscription
	// work is the context of deliveries, set while Run runs: Apply starts loops
	// that belong to Run.
	work   context.Context
	wg     sync.WaitGroup // subscriptions that run or drain
	closed bool

	lastWarning atomic.Int64
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
	if cfg.now == nil {
		cfg.now = time.Now
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("register broker metrics: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	s := &Server{
		cfg: cfg, metrics: m, log: log,
		consumer: host + "-" + uuid.NewString(),
		http:     newHTTPClient(nil),
		applied:  make(map[Broker]bool),
		subs:     make(map[triggerKey]*subscription),
	}
	var own bool
	if s.rdb, own = clone(client, cfg.RedisTimeout, 64); own {
		s.owned = append(s.owned, s.rdb)
	}
	if s.readers, own = clone(client, cfg.RedisTimeout, readerPool); own {
		s.owned = append(s.owned, s.readers)
	}
	empty := map[Broker]*mesh{}
	s.meshes.Store(&empty)
	return s, nil
}

// Check reports whether Redis can be reached, is of the kind that the client was
// made for (else the error wraps ErrMisnamed) and keeps what it acknowledges.
// Where it would not, the error wraps ErrNotDurable if the Config requires
// durability; otherwise there is a warning in the log and no error.
func (s *Server) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*s.cfg.RedisTimeout)
	defer cancel()
	if err := errors.Join(ping(ctx, s.rdb), checkKind(ctx, s.rdb)); err != nil {
		return err
	}
	err := checkDurability(ctx, s.rdb)
	if errors.Is(err, ErrNotDurable) && !s.cfg.RequireDurable {
		s.log.WarnContext(ctx, "Redis can lose events that were answered with 202", "error", err)
		return nil
	}
	return err
}

// Ready reports whether the ingress can store events now: in a Redis Cluster, of
// all partitions.
func (s *Server) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RedisTimeout)
	defer cancel()
	return ping(ctx, s.rdb)
}

// Handler is the ingress: POST /{namespace}/{broker}.
func (s *Server) Handler() http.Handler { return ingress{s} }

func (s *Server) mesh(b Broker) *mesh { return (*s.meshes.Load())[b] }

// Apply makes set what is served, in whole: Brokers and Triggers are added,
// changed and removed while all others go on. New Triggers get their consumer
// group before it returns, so events posted afterwards reach them. Triggers of
// the set's Brokers that are no longer in it lose their group; a Broker that is
// no longer in it stops, and keeps its streams. Where the set is
// invalid or Redis is out of reach nothing that runs is changed. After an error
// Apply may be repeated.
func (s *Server) Apply(ctx context.Context, set Set) error {
	if err := set.validate(); err != nil {
		return fmt.Errorf("apply set: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	partitions, err := s.register(ctx, set)
	if err != nil {
		return fmt.Errorf("apply set: %w", err)
	}
	s.applyMeshes(set)
	s.applyTriggers(set, partitions)
	if err := s.retireTriggers(ctx, set, partitions); err != nil {
		return fmt.Errorf("apply set: %w", err)
	}
	return nil
}

// applyMeshes opens and closes ingress paths.
func (s *Server) applyMeshes(set Set) {
	old := *s.meshes.Load()
	next := make(map[Broker]*mesh, len(set.Brokers))
	for _, b := range set.Brokers {
		if m := old[b]; m != nil {
			next[b] = m
			continue
		}
		m := newMesh(b, s.metrics)
		for p := range s.cfg.Partitions {
			m.batchers = append(m.batchers, newBatcher(&s.cfg, s.rdb, newPartition(b, p)))
		}
		next[b] = m
	}
	s.meshes.Store(&next)
	for b, m := range old {
		if next[b] == nil {
			m.close()
		}
	}
}

// applyTriggers starts, restarts and stops subscriptions. One that is changed
// stops reading before its successor starts; its deliveries in flight finish.
func (s *Server) applyTriggers(set Set, partitions map[Broker]int) {
	next := make(map[triggerKey]Trigger, len(set.Triggers))
	for _, t := range set.Triggers {
		next[t.key()] = t
	}
	for k, sub := range s.subs {
		t, stays := next[k]
		if stays && t.same(sub.trigger) && len(sub.lanes) == partitions[t.broker()] {
			delete(next, k)
			continue
		}
		sub.stop()
		delete(s.subs, k)
		if !stays {
			s.metrics.forget(k)
		}
	}
	for k, t := range next {
		sub := newSubscription(s, t, partitions[t.broker()])
		s.subs[k] = sub
		if s.work != nil {
			sub.start(s.work)
		}
	}
}

// Run delivers until ctx ends. Then reading stops, deliveries in flight may
// finish within Config.DrainTimeout, and what remains is given back for other
// processes to take. The ingress goes on until Close.
func (s *Server) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.mu.Lock()
	if s.work != nil || s.closed {
		s.mu.Unlock()
		return errors.New("broker: Run is called twice or after Close")
	}
	s.work = work
	for _, sub := range s.subs {
		sub.start(work)
	}
	s.mu.Unlock()

	var loops sync.WaitGroup
	loops.Go(func() { s.watchControl(ctx) })
	loops.Go(func() { s.keepHouse(ctx) })
	loops.Wait()

	s.mu.Lock()
	s.work = nil
	for _, sub := range s.subs {
		sub.stop()
	}
	s.mu.Unlock()
	drained := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(drained)
	}()
	timer := time.NewTimer(s.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C:
		s.log.WarnContext(ctx, "Deliveries in flight did not finish in time and stay pending")
		cancel()
		<-drained
	}
	s.retireSelf(context.WithoutCancel(ctx))
	return nil
}

// Close stores what the ingress has accepted and closes the connections. Call
// it after Run has returned and the HTTP server has shut down.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for _, m := range *s.meshes.Load() {
		m.close()
	}
	s.http.CloseIdleConnections()
	var errs []error
	for _, c := range s.owned {
		errs = append(errs, c.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close broker: %w", err)
	}
	return nil
}

// ingressFailed logs at most once a second: an outage fails every request.
func (s *Server) ingressFailed(ctx context.Context, m *mesh, err error) {
	now := time.Now().UnixNano()
	last := s.lastWarning.Load()
	if now-last < int64(time.Second) || !s.lastWarning.CompareAndSwap(last, now) {
		return
	}
	s.log.WarnContext(ctx, "Events are refused", "broker", m.broker.String(), "error", err)
}

// running gives the subscriptions of now.
func (s *Server) running() []*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	subs := make([]*subscription, 0, len(s.subs))
	for _, sub := range s.subs {
		subs = append(subs, sub)
	}
	return subs
}

func itoa(n int) string { return strconv.Itoa(n) }
