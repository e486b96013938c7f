// Package collect is the step between a sweep's completion and its job's end: it
// takes SweepCompleted, fetches the rows from the trading API page by page, stores
// each page as it comes, computes what takes all of them (how robust each row is, the
// surface that maps are drawn from), and replies with SweepCollected, by which store ends the
// job. The job store knows how far a job's rows are, so that a delivery in any
// process goes on where the last one stopped, and no page is fetched twice.
package collect

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/creasty/defaults"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/trading"
)

// Config of the step itself.
type Config struct {
	// Timeout bounds one delivery. What it leaves is for the next one. The API
	// takes 100 requests a minute, of everybody, and gives 500 rows a page: the
	// largest sweep, 125,000 rows, takes two and a half minutes if nobody else
	// calls. The Trigger's timeout must be longer by the time of one page and its
	// writing, DATABASE_BULK_TIMEOUT.
	Timeout time.Duration `envconfig:"COLLECT_TIMEOUT" default:"3m"`
	// Attempts is how often a page is asked for that the API refuses (4xx) or
	// answers with what cannot be read, before the job fails. An attempt that
	// finds the API unavailable or busy does not count.
	Attempts int `envconfig:"COLLECT_ATTEMPTS" default:"5"`
}

// JobStore is what collect needs of shared/jobstore.
type JobStore interface {
	Apply(ctx context.Context, events ...cloudevents.Event) []jobstore.Applied
	Collect(ctx context.Context, pages ...jobstore.ResultPage) ([]jobstore.Collection, error)
	Collections(ctx context.Context, jobs ...job.Header) ([]jobstore.Collection, error)
	CollectFailed(ctx context.Context, h job.Header, runID string) (failures int, err error)
	Results(ctx context.Context, tenant, id string, q jobstore.RowQuery) iter.Seq2[job.Row, error]
	Assess(ctx context.Context, h job.Header, a jobstore.Assessment) error
	Summary(ctx context.Context, tenant, id string) (jobstore.Summary, error)
	Ping(ctx context.Context) error
}

// Results is what collect needs of shared/trading. An error counts against
// Config.Attempts if it has a method Permanent or Unreadable that says so.
type Results interface {
	Page(ctx context.Context, runID, ticker string, offset int) (trading.Page, error)
}

// Pace returns when the trading API may be asked for a page. It ends with ctx.
type Pace func(ctx context.Context) error

// Function is the step. Everything it does is safe to repeat.
type Function struct {
	cfg      Config
	jobStore JobStore
	results  Results
	pace     Pace
	log      *slog.Logger
	close    func() error
}

// New makes the step; it does no I/O. A nil log is slog's default. The caller
// closes what it hands in.
func New(cfg Config, l JobStore, r Results, pace Pace, log *slog.Logger) (*Function, error) {
	defaults.MustSet(&cfg)
	switch {
	case l == nil:
		return nil, errors.New("collect: job store is required")
	case r == nil:
		return nil, errors.New("collect: trading API results are required")
	case pace == nil:
		return nil, errors.New("collect: pace is required")
	case cfg.Timeout < 0:
		return nil, errors.New("COLLECT_TIMEOUT must not be negative")
	case cfg.Attempts < 1:
		return nil, errors.New("COLLECT_ATTEMPTS must be at least 1")
	}
	if log == nil {
		log = slog.Default()
	}
	return &Function{cfg: cfg, jobStore: l, results: r, pace: pace, log: log, close: func() error { return nil }}, nil
}

// Handle stores the rows of one completed sweep. The reply is SweepCollected, or
// SweepFailed where the rows cannot be had, the same on every redelivery; there
// is none for a job that has ended.
//
// An event that cannot be read is rejected (422). What takes longer than the
// configured time, and whatever is not there now, is answered with 503 and goes
// on with the next delivery.
func (f *Function) Handle(ctx context.Context, e cloudevents.Event) (*cloudevents.Event, error) {
	if e.Type() != event.SweepCompleted {
		return nil, reject(fmt.Errorf("event %s has unexpected type %s", e.ID(), e.Type()))
	}
	d, err := event.Data[event.Completed](e)
	switch {
	case err != nil:
		return nil, reject(err)
	case !job.ValidID(d.JobID), d.TenantID == "", d.SweepRunID == "":
		return nil, reject(fmt.Errorf("event %s has no valid job id or run id", e.ID()))
	case d.Late:
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	reply, err := f.collect(ctx, e, d)
	if err != nil || reply == nil {
		return nil, f.answer(ctx, err)
	}
	event.CopyTrace(e, reply)
	*reply = event.Follow(e, *reply)
	return reply, nil
}

// Delays until the next delivery of an event, where nobody else says how long.
const (
	soon   = time.Second      // there are more pages
	later  = 5 * time.Second  // the database or the API is unavailable
	person = 30 * time.Second // it takes somebody to mend
)

// answer tells the broker what to do about an error.
func (f *Function) answer(ctx context.Context, err error) error {
	var known *sink.Unavailable
	var result *cehttp.Result
	var api *trading.Error
	var wait time.Duration
	switch {
	case err == nil, errors.As(err, &result):
		return err
	case errors.Is(err, jobstore.ErrUnreadable):
		return reject(err)
	case ctx.Err() != nil: // what is stored stays
		wait = soon
	case errors.As(err, &known):
		return err
	case errors.As(err, &api):
		wait = max(api.RetryAfter, later)
	case errors.Is(err, jobstore.ErrUnavailable):
		wait = later
	case errors.Is(err, jobstore.ErrUnusable):
		wait = person
	default:
		return err
	}
	return &sink.Unavailable{RetryAfter: wait, Err: err}
}

func reject(err error) error {
	return cehttp.NewResult(http.StatusUnprocessableEntity, "%w", err)
}

// Ready reports whether the database answers. The trading API is not asked:
// events can wait for it.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	return function.Check(ctx, map[string]func(context.Context) error{"PostgreSQL": f.jobStore.Ping})
}

// Stop frees what FromEnv opened.
func (f *Function) Stop(context.Context) error { return f.close() }
