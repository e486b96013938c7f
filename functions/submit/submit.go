// Package submit submits a job to the trading API. It subscribes to
// sweep.requested from receive and sweep.admitted from the supervisor;
// it answers with sweep.submitted, or sweep.failed where the API refuses the
// sweep. After it nobody waits in a function: the job's wait record does, until
// callback or the supervisor ends it.
//
// It may be given the same event any number of times. The wait record says
// which attempt is in charge, and an attempt that follows on one whose fate is
// unknown looks for the sweep at the API before it submits again.
package submit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/creasty/defaults"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// handleTimeout bounds one event: health check, lookup and submission, each with a
// timeout of its own. The Trigger's timeout is a little longer.
const handleTimeout = 55 * time.Second

// Config is read from the environment.
type Config struct {
	// BaseURL is where the trading API reaches callback. It stands in each submission.
	BaseURL string `envconfig:"WEBHOOK_BASE_URL" default:"http://localhost:8080"`
	// Secret signs the token in the callback's address, 16 bytes at least.
	Secret string `envconfig:"CALLBACK_SECRET" required:"nonempty"`
	// FirstPoll is when a sweep without an estimate is polled for the first
	// time. Default 30s.
	FirstPoll time.Duration `envconfig:"POLL_FIRST" default:"30s"`
	trading.Progress
	// BackoffMax bounds how long one job stays away from the API after failed
	// attempts of its own. Default 1m.
	BackoffMax time.Duration `envconfig:"SUBMIT_BACKOFF_MAX" default:"1m"`
}

// sweeps is the part of the trading API that starts sweeps: trading.Client.
type sweeps interface {
	Health(ctx context.Context) error
	Submit(ctx context.Context, s job.Sweep, callbackURL string, headers map[string]string) (trading.Submission, error)
	Find(ctx context.Context, ourJobID string, since time.Time) ([]trading.Job, error)
}

// Function is the step.
type Function struct {
	cfg   Config
	waits *wait.Waits
	api   sweeps
	close func() error

	healthyUntil atomic.Int64 // Unix ms; the API need not be asked before
}

// New refuses missing dependencies and bad configuration, and does no I/O. The
// caller closes what it hands in.
func New(cfg Config, waits *wait.Waits, api sweeps) (*Function, error) {
	if waits == nil || api == nil {
		return nil, errors.New("submit: waits and trading API are required")
	}
	if cfg.Secret == "" {
		return nil, errors.New("CALLBACK_SECRET is required")
	}
	if err := function.CheckSecret("CALLBACK_SECRET", cfg.Secret); err != nil {
		return nil, err
	}
	if _, err := trading.CallbackURL(cfg.BaseURL, "", ""); err != nil {
		return nil, err
	}
	defaults.MustSet(&cfg)
	if cfg.FirstPoll < 0 || cfg.BackoffMax < 0 {
		return nil, errors.New("POLL_FIRST and SUBMIT_BACKOFF_MAX must not be negative")
	}
	if err := cfg.CheckProgress(); err != nil {
		return nil, err
	}
	return &Function{cfg: cfg, waits: waits, api: api}, nil
}

// Ready reports whether Redis answers. The trading API is not asked: without it
// jobs stay queued, which is useful as well.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	return ready(ctx, f.waits)
}

// Stop closes what FromEnv opened.
func (f *Function) Stop(context.Context) error {
	if f.close == nil {
		return nil
	}
	if err := f.close(); err != nil {
		return fmt.Errorf("close submit: %w", err)
	}
	return nil
}

// Handle acknowledges the event as soon as the wait record can be trusted to
// continue the job: also if the job was queued, or requeued because
// the API is down. An error means that the record could not be written and the
// event must come again: a *sink.Unavailable (503) for as long as Redis is away, which
// says nothing of the job.
func (f *Function) Handle(ctx context.Context, e cloudevents.Event) (*cloudevents.Event, error) {
	reply, err := f.handle(ctx, e)
	switch {
	case errors.Is(err, wait.ErrUnfit):
		return nil, reject(err)
	case wait.Unavailable(err):
		return nil, &sink.Unavailable{RetryAfter: sink.DefaultRetryAfter, Err: err}
	}
	return reply, err
}

func reject(err error) error { return cehttp.NewResult(http.StatusUnprocessableEntity, "%w", err) }

func (f *Function) handle(ctx context.Context, e cloudevents.Event) (*cloudevents.Event, error) {
	h, err := header(e)
	if err != nil {
		return nil, reject(err)
	}
	ctx, cancel := context.WithTimeout(ctx, handleTimeout)
	defer cancel()
	asked := time.Now()
	entry, err := f.waits.Enter(ctx, h, f.enterOptions()...)
	if err != nil {
		return nil, err
	}
	r := entry.Record
	switch entry.Decision {
	case wait.SubmitNow, wait.FindFirst:
		return f.attempt(ctx, entry, asked)
	case wait.Submitted:
		// The reply that said so may have been lost.
		return reply(ctx, r)
	case wait.Queued:
		slog.InfoContext(ctx, "job queued for a slot", "job_id", h.JobID, "job_type", h.JobType, "tenant_id", h.TenantID)
	case wait.Busy, wait.AlreadyEnded:
	}
	return nil, nil
}

// header reads the job that either event carries.
func header(e cloudevents.Event) (job.Header, error) {
	switch e.Type() {
	case event.SweepRequested, event.SweepAdmitted:
	default:
		return job.Header{}, fmt.Errorf("unexpected event type %s", e.Type())
	}
	d, err := event.Data[event.Requested](e) // the header stands alike in both
	switch {
	case err != nil:
		return job.Header{}, err
	case !job.ValidID(d.JobID) || d.TenantID == "":
		return job.Header{}, errors.New("event has no valid job id or tenant")
	}
	return d.Header, d.Parameters.Validate()
}

// reply is the event that the sweep is at the API: the same, id and all, for
// the same submission.
func reply(ctx context.Context, r wait.Record) (*cloudevents.Event, error) {
	if r.TradingJobID == "" {
		return nil, nil
	}
	e, err := event.NewSubmitted(event.Submitted{
		Header: r.Header, TradingJobID: r.TradingJobID, SubmittedAt: r.StartedAt,
		EstimatedSeconds: r.EstimatedSeconds, Turn: max(r.Submissions, 1),
	})
	if err != nil {
		return nil, err
	}
	telemetry.IntoEvent(r.Trace(ctx), &e)
	return &e, nil
}
