// Package jobs reads jobs and acts on them, for the functions that people and
// programs look at them with (api, dashboard). A job is found in the job store and
// in its wait record; what its owner wants of it (cancel, retry) goes to the wait
// record or in again at the front, through shared/enqueue. It also tells who is
// asking (key or session), keeps the counts and overviews that many look at, sends
// them as Server-Sent Events, and acts on dead letters and on the broker.
package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/creasty/defaults"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/wait"
)

// Config is read from the environment.
type Config struct {
	// Heartbeat is how often a silent stream says that it is alive. It must be
	// well below the idle timeouts of the proxies in between.
	Heartbeat time.Duration `envconfig:"STREAM_HEARTBEAT" default:"15s"`
	// MaxStreams bounds the streams of this process; more get 503.
	MaxStreams int `envconfig:"STREAM_MAX" default:"2000"`
	// TenantStreams is how many of MaxStreams one tenant may have; more get 429. 0 is
	// all. Auto: half where tenants share, else all.
	TenantStreams int `envconfig:"TENANT_STREAMS" default:"-1"`
	// TenantReads is how many large reads (all rows of a job, counts of a filter) of
	// one tenant this process does at once; more wait a little, then get 429. 0 is any
	// number. Auto: 2 where tenants share, else 4.
	TenantReads int `envconfig:"TENANT_READS" default:"-1"`
	// SessionSecret signs the session cookie. All processes of both functions
	// share it; without one, sessions end with the process and are known to it
	// alone.
	SessionSecret string `envconfig:"CALLBACK_SECRET"`
	// SecretSet says that the variable is there: set but empty is an error.
	SecretSet auth.Present `envconfig:"CALLBACK_SECRET"`
	// BaseURL is where people reach the pages, where that is not where requests come
	// in: pages of its origin are our own, and links begin with its path.
	BaseURL string `envconfig:"WEBHOOK_BASE_URL"`
	// Refresh is how often the list of jobs is read for those who watch it, once
	// for all of a tenant's watchers, and how long counts are taken for fresh. 2 s
	// if 0.
	Refresh time.Duration `envconfig:"STREAM_REFRESH" default:"2s"`
	// Operators are the tenants that may look at the broker and steer it, which
	// concerns everybody's jobs. Where no keys are asked for, everybody may;
	// where they are, nobody may who is not named here.
	Operators []string `envconfig:"OPERATOR_TENANTS"`
}

// Store is the job store as it is read.
type Store interface {
	Job(ctx context.Context, tenant, id string) (job.Job, error)
	Jobs(ctx context.Context, tenant string, q jobstore.Query) (jobstore.Page, error)
	Timeline(ctx context.Context, tenant, id string) ([]job.TimelineEvent, error)
	Retries(ctx context.Context, tenant string, ids []string) (map[string][]string, error)
	Counts(ctx context.Context, tenant string, q jobstore.Query) (map[job.State]int, error)
	Activity(ctx context.Context, tenant string, in jobstore.Intervals) ([]jobstore.Interval, error)
	Results(ctx context.Context, tenant, id string, q jobstore.RowQuery) iter.Seq2[job.Row, error]
	Rows(ctx context.Context, tenant, id string, q jobstore.RowQuery) ([]job.Row, error)
	Surface(ctx context.Context, tenant, id string) ([]byte, error)
	CountRows(ctx context.Context, tenant, id string, q jobstore.RowQuery) (int, error)
	Ping(ctx context.Context) error
}

// Waits are the wait records: what is true of a job now, before the job store
// knows.
type Waits interface {
	Get(ctx context.Context, jobID string) (wait.Record, error)
	// Records leaves out jobs without one.
	Records(ctx context.Context, jobIDs ...string) (map[string]wait.Record, error)
	Watch(ctx context.Context, jobID string) (<-chan wait.Record, error)
	Cancel(ctx context.Context, jobID string) (wait.State, error)
	Ping(ctx context.Context) error

	// They are kept in the same Redis.
	auth.Revocations
}

// Restorer brings back the wait record of a job that Redis has lost: restore.Jobs.
type Restorer interface {
	Find(ctx context.Context, jobID string) (job.Job, error)
}

// Enqueuer takes a job in.
type Enqueuer interface {
	Enqueue(ctx context.Context, r enqueue.Request) (enqueue.Accepted, error)
	// EnqueueGroup takes in a job for each ticker, all or none.
	EnqueueGroup(ctx context.Context, r enqueue.Request, tickers []string) ([]enqueue.Accepted, error)
}

// DeadLetters are the events that could not be delivered.
type DeadLetters interface {
	DeadLetters(ctx context.Context, q broker.DeadLetterQuery) (letters []broker.DeadLetter, next string, err error)
	DeadLetter(ctx context.Context, id string) (broker.DeadLetter, error)
	Redrive(ctx context.Context, id string) error
	Discard(ctx context.Context, id string) error
}

// Broker is the broker as operators see it: broker.Inspector.
type Broker interface {
	Streams(ctx context.Context) ([]broker.StreamInfo, error)
	Triggers(ctx context.Context) ([]broker.TriggerInfo, error)
	Retries(ctx context.Context, namespace, broker, trigger string, limit int) ([]broker.Retry, error)
	Rates(ctx context.Context, now time.Time) ([]broker.Rates, error)
	Pause(ctx context.Context, namespace, broker, trigger string) error
	Resume(ctx context.Context, namespace, broker, trigger string) error
	ReplayFrom(ctx context.Context, namespace, broker, trigger string, since time.Time) error
}

// Slots counts what waits and what is at the trading API: wait.Waits.
type Slots interface {
	Count(ctx context.Context) (wait.Counts, error)
	Config() wait.Config
}

// Deps is what a Service stands on. The caller closes it. Required are Store,
// Waits, Enqueuer and Keys.
type Deps struct {
	Store Store
	Waits Waits
	// Lost restores jobs that Redis has lost, so that they can be cancelled. nil
	// leaves that to the supervisor: until then they cannot.
	Lost     Restorer
	Enqueuer Enqueuer
	// DeadLetters may be nil where the broker is not ours: there is then no such
	// address.
	DeadLetters DeadLetters
	// Broker is DeadLetters if it is nil and that can do as much; without either
	// the broker is not ours, and there is no page of it.
	Broker Broker
	// Slots is Waits if it is nil and that can do as much.
	Slots Slots
	Keys  *auth.Keys
	// Now is time.Now if nil.
	Now func() time.Time
}

// Service reads jobs and acts on them. Functions of one process may share one.
type Service struct {
	Deps

	// Sessions tell whose a request is, by key or cookie.
	Sessions *auth.Sessions

	cfg        Config
	base       base
	cursors    cursors
	counts     countsCache
	overviews  overviewCache
	activities remembered[Activity] // by tenant
	rates      remembered[[]broker.Rates]
	runs       runTimes
	attention  attention
	streams    chan struct{}
	// ofTenants are the streams of each tenant, reads and counting what it reads.
	ofTenants, reads, counting shares
	drain                      chan struct{}
	drained                    sync.Once
	close                      func() error
}

// New refuses missing dependencies and does no I/O.
func New(cfg Config, d Deps) (*Service, error) {
	if d.Store == nil || d.Waits == nil || d.Enqueuer == nil || d.Keys == nil {
		return nil, errors.New("jobs need a job store, waits, an enqueuer and tenant keys")
	}
	var usual Config
	defaults.MustSet(&usual)
	cfg.Heartbeat, cfg.Refresh = cmp.Or(cfg.Heartbeat, usual.Heartbeat), cmp.Or(cfg.Refresh, usual.Refresh)
	cfg.MaxStreams = cmp.Or(cfg.MaxStreams, usual.MaxStreams)
	if cfg.Heartbeat < 0 || cfg.MaxStreams < 0 || cfg.Refresh < 0 {
		return nil, errors.New("STREAM_HEARTBEAT, STREAM_MAX and STREAM_REFRESH must not be negative")
	}
	if cfg.SecretSet != "" && cfg.SessionSecret == "" {
		return nil, errors.New("CALLBACK_SECRET is set but empty")
	}
	if cfg.TenantStreams < auth.Auto || cfg.TenantReads < auth.Auto {
		return nil, errors.New("TENANT_STREAMS and TENANT_READS must not be negative")
	}
	cfg.TenantStreams = d.Keys.Share(cfg.TenantStreams, max(1, cfg.MaxStreams/2), 0)
	cfg.TenantReads = d.Keys.Share(cfg.TenantReads, 2, 4)
	d.complete()
	s := &Service{Deps: d, cfg: cfg, streams: make(chan struct{}, cfg.MaxStreams), drain: make(chan struct{})}
	var err error
	if s.Sessions, err = auth.NewSessions(d.Keys, cfg.SessionSecret, d.Waits, d.Now); err != nil {
		return nil, err
	}
	if s.base, err = parseBase(cfg.BaseURL); err != nil {
		return nil, err
	}
	s.Sessions.Below(s.base.path)
	if s.cursors, err = newCursors(cfg.SessionSecret); err != nil {
		return nil, err
	}
	return s, nil
}

// complete fills in what the other dependencies can do as well.
func (d *Deps) complete() {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Broker == nil {
		d.Broker, _ = d.DeadLetters.(Broker)
	}
	if d.Slots == nil {
		d.Slots, _ = d.Waits.(Slots)
	}
}

// Ready reports whether Redis and the job store answer.
func (s *Service) Ready(ctx context.Context) (bool, error) {
	return function.Check(ctx, map[string]func(context.Context) error{"redis": s.Waits.Ping, "job store": s.Store.Ping})
}

// Drain ends all streams; browsers come back to another replica by themselves.
func (s *Service) Drain() { s.drained.Do(func() { close(s.drain) }) }

// Stop waits for reads under way and closes what Open opened.
func (s *Service) Stop(context.Context) error {
	s.counts.running.Wait()
	s.attention.finished.Wait()
	s.activities.running.Wait()
	s.rates.running.Wait()
	if s.close == nil {
		return nil
	}
	if err := s.close(); err != nil {
		return fmt.Errorf("close jobs: %w", err)
	}
	return nil
}
