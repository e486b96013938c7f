package simulator

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"
)

// Simulator is a running trading API. Its Handler may be served anywhere.
type Simulator struct {
	cfg     Config
	log     *slog.Logger
	clock   Clock
	client  *http.Client
	engine  *engine
	results *resultCache
	limiter *rate.Limiter // nil: no limit
	journal *journal      // nil: memory only

	ctx    context.Context // ends with Close; the sweeps outlive their requests
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	jobs       map[string]*sweep // by id
	runs       map[string]*sweep // by run id
	order      []*sweep          // as submitted
	waiting    []*sweep          // pending, first come first served
	runningNow int
	webhooks   int // under way
	changed    chan struct{}
	stats      Stats
	byURL      map[string]int
	down       bool
	refusals   []refusal
	cutAnswers int
}

// Option changes what New builds the simulator from.
type Option func(*Simulator)

// WithClock replaces the wall clock.
func WithClock(c Clock) Option { return func(s *Simulator) { s.clock = c } }

// WithTransport replaces the transport that webhooks are sent through.
func WithTransport(t http.RoundTripper) Option {
	return func(s *Simulator) { s.client.Transport = t }
}

// New makes a simulator. With Config.StateDir it takes up the sweeps that an
// earlier one had accepted and starts the unfinished ones again. Close ends it.
func New(cfg Config, log *slog.Logger, options ...Option) (*Simulator, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if log == nil {
		return nil, errors.New("new simulator: no logger")
	}
	if cfg.Workers == 0 {
		cfg.Workers = max(1, runtime.NumCPU()-1)
	}
	s := &Simulator{
		cfg:     cfg,
		log:     log,
		clock:   wallClock{},
		client:  newWebhookClient(),
		engine:  newEngine(cfg.Workers),
		results: newResultCache(),
		jobs:    map[string]*sweep{},
		runs:    map[string]*sweep{},
		byURL:   map[string]int{},
		changed: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, option := range options {
		option(s)
	}
	if n := cfg.RequestsPerMinute; n > 0 {
		s.limiter = rate.NewLimiter(rate.Limit(float64(n)/60), n)
	}
	if cfg.StateDir != "" {
		if err := s.restore(); err != nil {
			s.cancel()
			return nil, err
		}
	}
	return s, nil
}

// Close stops all sweeps and webhooks and waits for them. Unfinished sweeps stay
// unfinished, and no webhook is sent for them.
func (s *Simulator) Close() {
	s.mu.Lock()
	s.closed = true
	s.signal()
	s.mu.Unlock()
	s.cancel()
	s.tasks.Wait()
	s.client.CloseIdleConnections()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal.close()
}

// errBusy and errClosed are why submit takes no sweep.
var (
	errBusy   = errors.New("too many concurrent sweeps")
	errClosed = errors.New("service is shutting down")
)

// submit accepts a sweep and starts it where there is a free place. It returns
// before the sweep has ended, but for an early one.
func (s *Simulator) submit(req request) (*sweep, error) {
	j, err := s.accept(req)
	if err != nil {
		return nil, err
	}
	if j.faults.early {
		defer s.tasks.Done()
		s.run(j)
	}
	return j, nil
}

func (s *Simulator) accept(req request) (*sweep, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	if s.cfg.RejectBusy && s.cfg.MaxConcurrent > 0 && s.stats.InFlight >= s.cfg.MaxConcurrent {
		s.stats.Throttled++
		return nil, errBusy
	}
	s.stats.Submissions++
	s.byURL[req.WebhookURL]++
	j := &sweep{
		id:      uuid.NewString(),
		runID:   uuid.NewString(),
		req:     req,
		created: s.clock.Now(),
		status:  pending,
		faults:  s.cfg.draw(s.stats.Submissions),
	}
	if s.cutAnswers > 0 {
		s.cutAnswers--
		j.faults.loseAnswer = true
	}
	s.add(j)
	s.journal.submitted(j)
	if j.faults.early {
		j.status, j.started = running, s.clock.Now()
		s.tasks.Add(1)
	} else {
		s.waiting = append(s.waiting, j)
		s.startWaiting()
	}
	return j, nil
}

// add makes a sweep known. The caller holds mu.
func (s *Simulator) add(j *sweep) {
	j.total = j.req.combinations()
	j.ctx, j.stop = context.WithCancel(s.ctx)
	j.ended = make(chan struct{})
	s.jobs[j.id] = j
	s.runs[j.runID] = j
	s.order = append(s.order, j)
	if j.terminal() {
		j.stop()
		close(j.ended)
		return
	}
	s.stats.InFlight++
	s.stats.MaxSeen = max(s.stats.MaxSeen, s.stats.InFlight)
}

// startWaiting starts pending sweeps while there are free places. The caller
// holds mu.
func (s *Simulator) startWaiting() {
	for len(s.waiting) > 0 && !s.closed {
		if s.cfg.MaxConcurrent > 0 && s.runningNow >= s.cfg.MaxConcurrent {
			return
		}
		j := s.waiting[0]
		s.waiting = s.waiting[1:]
		j.status, j.started = running, s.clock.Now()
		s.runningNow++
		s.tasks.Go(func() { s.run(j) })
	}
}

// unqueue takes a sweep out of those that wait. The caller holds mu.
func (s *Simulator) unqueue(j *sweep) {
	if i := slices.Index(s.waiting, j); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
}

// forget drops the oldest ended sweeps above Config.KeepJobs. The caller holds
// mu.
func (s *Simulator) forget() {
	for len(s.order) > s.cfg.KeepJobs && s.order[0].terminal() {
		j := s.order[0]
		s.order[0] = nil
		s.order = s.order[1:]
		delete(s.jobs, j.id)
		delete(s.runs, j.runID)
	}
}

// signal wakes those that wait for a change. The caller holds mu.
func (s *Simulator) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// estimate guesses how long a new sweep will take, whole seconds, at least one.
// The caller holds mu.
func (s *Simulator) estimate(j *sweep) int {
	one := s.cfg.Delay + time.Duration(j.total)*50*time.Microsecond
	rounds := 1
	if s.cfg.MaxConcurrent > 0 {
		rounds += len(s.waiting) / s.cfg.MaxConcurrent
	}
	total := one * time.Duration(rounds)
	return max(1, int((total+time.Second-1)/time.Second))
}
