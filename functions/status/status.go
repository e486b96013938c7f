// Package status shows jobs and acts on them: the jobs API, the stream of one
// job's events to a browser, and the dashboard's pages. It only reads the
// ledger and the wait records; what its owner wants of a job (cancel, retry)
// goes to the wait record or in again at the front, through shared/intake.
package status

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/intake"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/serve"
	"github.com/zixly/sweepline/shared/tenant"
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
}

// jobs is the ledger as status reads it.
type jobs interface {
	Job(ctx context.Context, tenant, id string) (job.Job, error)
	Jobs(ctx context.Context, tenant string, q ledger.Query) (ledger.Page, error)
	Timeline(ctx context.Context, tenant, id string) ([]job.TimelineEvent, error)
	Results(ctx context.Context, tenant, id string, by ledger.Order) iter.Seq2[job.Row, error]
	Ping(ctx context.Context) error
}

// waits are the wait records: what is true of a job now, before the ledger
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

// intaker takes a job in.
type intaker interface {
	Take(ctx context.Context, r intake.Request) (intake.Accepted, error)
}

// letters are the events that could not be delivered.
type letters interface {
	DeadLetters(ctx context.Context, q broker.DeadLetterQuery) ([]broker.DeadLetter, error)
	DeadLetter(ctx context.Context, id string) (broker.DeadLetter, error)
	Redrive(ctx context.Context, id string) error
	Discard(ctx context.Context, id string) error
}

// Deps is what the function stands on. All fields but Now are required; the
// caller closes them.
type Deps struct {
	Jobs   jobs
	Waits  waits
	Cancel canceller
	Intake intaker
	// Letters may be nil where the broker is not ours: there is then no such
	// address.
	Letters letters
	Keys    *tenant.Keys
	// Now is time.Now if nil.
	Now func() time.Time
}

// Function serves the jobs API and the dashboard.
type Function struct {
	Deps

	cfg      Config
	sessions *tenant.Sessions
	handler  http.Handler
	streams  chan struct{}
	drain    chan struct{}
	drained  sync.Once
	close    func() error
}

// New refuses missing dependencies and does no I/O.
func New(cfg Config, d Deps) (*Function, error) {
	if d.Jobs == nil || d.Waits == nil || d.Cancel == nil || d.Intake == nil || d.Keys == nil {
		return nil, errors.New("status needs jobs, waits, a canceller, an intake and tenant keys")
	}
	if cfg.Heartbeat <= 0 {
		return nil, errors.New("STREAM_HEARTBEAT must be positive")
	}
	if cfg.MaxStreams <= 0 {
		return nil, errors.New("STREAM_MAX must be positive")
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	f := &Function{Deps: d, cfg: cfg, streams: make(chan struct{}, cfg.MaxStreams), drain: make(chan struct{})}
	var err error
	if f.sessions, err = tenant.NewSessions(d.Keys, cfg.SessionSecret, d.Now); err != nil {
		return nil, err
	}
	f.handler = f.routes()
	return f, nil
}

// Handle answers one request.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) { f.handler.ServeHTTP(w, r) }

// Ready reports whether Redis and the ledger answer.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	return serve.Check(ctx, map[string]func(context.Context) error{"redis": f.Waits.Ping, "ledger": f.Jobs.Ping})
}

// Drain ends all streams; browsers come back to another replica by themselves.
func (f *Function) Drain() { f.drained.Do(func() { close(f.drain) }) }

// Stop closes what FromEnv opened.
func (f *Function) Stop(context.Context) error {
	if f.close == nil {
		return nil
	}
	if err := f.close(); err != nil {
		return fmt.Errorf("close status: %w", err)
	}
	return nil
}
