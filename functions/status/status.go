// Package status shows jobs and acts on them: the jobs API, the stream of one
// job's events to a browser, and the dashboard's pages. It only reads the
// job store and the wait records; what its owner wants of a job (cancel, retry)
// goes to the wait record or in again at the front, through shared/enqueue.
// Operators see the broker, too, and can pause, resume and replay its Triggers.
package status

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"time"

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
	// SessionSecret signs the dashboard's cookie. Replicas share it; without
	// one, sessions end with the process.
	SessionSecret string `envconfig:"CALLBACK_SECRET"`
	// Pulse is how often the list of jobs is looked at for those who watch it,
	// once for all of a tenant's watchers. 2 s if 0.
	Pulse time.Duration `envconfig:"STREAM_PULSE" default:"2s"`
	// Operators are the tenants that may look at the broker and steer it, which
	// concerns everybody's jobs. Where no keys are asked for, everybody may;
	// where they are, nobody may who is not named here.
	Operators []string `envconfig:"OPERATOR_TENANTS"`
	// TraceURL is a tracing system's address of a trace, with {trace_id} in it.
	// Without one, pages name the trace and link nowhere.
	TraceURL string `envconfig:"TRACE_URL"`
}

// jobs is the job store as status reads it.
type jobs interface {
	Job(ctx context.Context, tenant, id string) (job.Job, error)
	Jobs(ctx context.Context, tenant string, q jobstore.Query) (jobstore.Page, error)
	Timeline(ctx context.Context, tenant, id string) ([]job.TimelineEvent, error)
	Counts(ctx context.Context, tenant string, q jobstore.Query) (map[job.State]int, error)
	Results(ctx context.Context, tenant, id string, by jobstore.Order) iter.Seq2[job.Row, error]
	Rows(ctx context.Context, tenant, id string, q jobstore.RowQuery) ([]job.Row, error)
	Ping(ctx context.Context) error
}

// waits are the wait records: what is true of a job now, before the job store
// knows.
type waits interface {
	Get(ctx context.Context, jobID string) (wait.Record, error)
	Watch(ctx context.Context, jobID string) (<-chan wait.Record, error)
	Ping(ctx context.Context) error
}

// canceller asks for a job's end.
type canceller interface {
	Cancel(ctx context.Context, jobID string) (wait.State, error)
}

// finder brings back the wait record of a job that Redis has lost: restore.Jobs.
type finder interface {
	Find(ctx context.Context, jobID string) (job.Job, error)
}

// enqueuer takes a job in.
type enqueuer interface {
	Enqueue(ctx context.Context, r enqueue.Request) (enqueue.Accepted, error)
}

// letters are the events that could not be delivered.
type letters interface {
	DeadLetters(ctx context.Context, q broker.DeadLetterQuery) ([]broker.DeadLetter, error)
	DeadLetter(ctx context.Context, id string) (broker.DeadLetter, error)
	Redrive(ctx context.Context, id string) error
	Discard(ctx context.Context, id string) error
}

// operations is the broker as operators see it: broker.Inspector.
type operations interface {
	Streams(ctx context.Context) ([]broker.StreamInfo, error)
	Triggers(ctx context.Context) ([]broker.TriggerInfo, error)
	Retries(ctx context.Context, namespace, broker, trigger string, limit int) ([]broker.Retry, error)
	Pause(ctx context.Context, namespace, broker, trigger string) error
	Resume(ctx context.Context, namespace, broker, trigger string) error
	ReplayFrom(ctx context.Context, namespace, broker, trigger string, since time.Time) error
}

// slots counts what waits and what is at the trading API: wait.Waits.
type slots interface {
	Count(ctx context.Context) (wait.Counts, error)
	Config() wait.Config
}

// checker tells whether something answers.
type checker interface {
	Health(ctx context.Context) error
}

// Deps is what the function stands on. The caller closes it. Required are Jobs,
// Waits, Cancel, Enqueuer and Keys.
type Deps struct {
	Jobs   jobs
	Waits  waits
	Cancel canceller
	// Lost restores jobs that Redis has lost, so that they can be cancelled. nil
	// leaves that to the supervisor: until then they cannot.
	Lost     finder
	Enqueuer enqueuer
	// Letters may be nil where the broker is not ours: there is then no such
	// address.
	Letters letters
	// Broker is Letters if it is nil and that can do as much; without either
	// the broker is not ours, and there is no page of it.
	Broker operations
	// Slots is Waits if it is nil and that can do as much.
	Slots slots
	// Mailbox holds messages that could not be sent; nil where they are sent:
	// there is then no such page.
	Mailbox messages
	// Trading is the trading API; nil leaves it out of the health.
	Trading checker
	Keys    *auth.Keys
	// Now is time.Now if nil.
	Now func() time.Time
}

// Function serves the jobs API and the dashboard.
type Function struct {
	Deps

	cfg      Config
	sessions *auth.Sessions
	handler  http.Handler
	pulses   pulses
	tallies  tallies
	surfaces surfaces
	streams  chan struct{}
	drain    chan struct{}
	drained  sync.Once
	close    func() error
}

// New refuses missing dependencies and does no I/O.
func New(cfg Config, d Deps) (*Function, error) {
	if d.Jobs == nil || d.Waits == nil || d.Cancel == nil || d.Enqueuer == nil || d.Keys == nil {
		return nil, errors.New("status needs jobs, waits, a canceller, an enqueuer and tenant keys")
	}
	if cfg.Heartbeat <= 0 {
		return nil, errors.New("STREAM_HEARTBEAT must be positive")
	}
	if cfg.MaxStreams <= 0 {
		return nil, errors.New("STREAM_MAX must be positive")
	}
	if cfg.Pulse == 0 {
		cfg.Pulse = 2 * time.Second
	}
	if cfg.Pulse < 0 {
		return nil, errors.New("STREAM_PULSE must be positive")
	}
	if err := checkTraceURL(cfg.TraceURL); err != nil {
		return nil, err
	}
	d.complete()
	f := &Function{Deps: d, cfg: cfg, streams: make(chan struct{}, cfg.MaxStreams), drain: make(chan struct{})}
	var err error
	if f.sessions, err = auth.NewSessions(d.Keys, cfg.SessionSecret, d.Now); err != nil {
		return nil, err
	}
	f.handler = f.routes()
	return f, nil
}

// complete fills in what the other dependencies can do as well.
func (d *Deps) complete() {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Broker == nil {
		d.Broker, _ = d.Letters.(operations)
	}
	if d.Slots == nil {
		d.Slots, _ = d.Waits.(slots)
	}
}

// Handle answers one request.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) { f.handler.ServeHTTP(w, r) }

// Ready reports whether Redis and the job store answer.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	return function.Check(ctx, map[string]func(context.Context) error{"redis": f.Waits.Ping, "job store": f.Jobs.Ping})
}

// Drain ends all streams; browsers come back to another replica by themselves.
func (f *Function) Drain() { f.drained.Do(func() { close(f.drain) }) }

// Stop waits for counts under way and closes what FromEnv opened.
func (f *Function) Stop(context.Context) error {
	f.tallies.running.Wait()
	if f.close == nil {
		return nil
	}
	if err := f.close(); err != nil {
		return fmt.Errorf("close status: %w", err)
	}
	return nil
}
