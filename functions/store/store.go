// Package store is the step that remembers: it takes every event of a sweep and
// writes it into the ledger. When a sweep has completed it fetches all its rows
// from the trading API first; when a job has ended, however it did, it replies
// with JobCompleted or JobFailed, which notify takes.
package store

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
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/serve"
	"github.com/zixly/sweepline/shared/telemetry"
)

// Config of the step itself.
type Config struct {
	// FetchTimeout bounds the fetching of rows in one delivery of an event. The
	// API takes 100 requests a minute, of everybody, and gives 500 rows a page:
	// 100,000 rows take some three minutes and, where others call as well, more
	// than one delivery, each of which goes on where the last one stopped. The
	// trigger's timeout must be longer than this and the writing.
	FetchTimeout time.Duration `envconfig:"STORE_FETCH_TIMEOUT" default:"4m"`
}

// Ledger is what store needs of shared/ledger.
type Ledger interface {
	Apply(ctx context.Context, events ...cloudevents.Event) error
	Finish(ctx context.Context, e cloudevents.Event, o ledger.Outcome) (ledger.Finished, error)
	Job(ctx context.Context, tenant, id string) (job.Job, error)
	Ping(ctx context.Context) error
}

// Results is what store needs of shared/trading. An error ends the sequence; it
// is taken as permanent if it has a method Permanent that says so.
type Results interface {
	ResultsFrom(ctx context.Context, runID, ticker string, offset int) iter.Seq2[job.Row, error]
}

// Function is the step. Everything it does is safe to repeat.
type Function struct {
	cfg     Config
	ledger  Ledger
	results Results
	parts   parts
	log     *slog.Logger
	close   func() error
}

// New makes the step; it does no I/O. A nil log is slog's default. The caller
// closes what it hands in.
func New(cfg Config, l Ledger, r Results, log *slog.Logger) (*Function, error) {
	switch {
	case l == nil:
		return nil, errors.New("store needs a ledger")
	case r == nil:
		return nil, errors.New("store needs the trading API's results")
	case cfg.FetchTimeout <= 0:
		return nil, errors.New("STORE_FETCH_TIMEOUT must be above zero")
	}
	if log == nil {
		log = slog.Default()
	}
	return &Function{cfg: cfg, ledger: l, results: r, log: log, close: func() error { return nil }}, nil
}

// Handle writes one event down. The reply, if any, is the job's end, given
// again on every redelivery; its id is the same, so the broker drops repeats.
//
// An event that cannot be read is rejected (422). Every other error means that
// the database or the trading API is not there: the broker tries again.
func (f *Function) Handle(ctx context.Context, e cloudevents.Event) (*cloudevents.Event, error) {
	o := f.HandleBatch(ctx, []cloudevents.Event{e})[0]
	return o.Reply, o.Err
}

// HandleBatch takes events together: one transaction for all that end no job,
// then one for each end.
func (f *Function) HandleBatch(ctx context.Context, events []cloudevents.Event) []serve.Outcome {
	out := make([]serve.Outcome, len(events))
	var small []cloudevents.Event
	var at []int
	for i, e := range events {
		end, err := endsJob(e)
		switch {
		case err != nil:
			out[i].Err = reject(err)
		case !end:
			small, at = append(small, e), append(at, i)
		}
	}
	if len(small) > 0 {
		err := f.apply(ctx, small)
		for _, i := range at {
			out[i].Err = outcome(err)
		}
	}
	for i, e := range events {
		if end, err := endsJob(e); err != nil || !end {
			continue
		}
		reply, err := f.end(telemetry.FromEvent(ctx, e), e)
		if err != nil {
			out[i].Err = outcome(err)
			continue
		}
		out[i].Reply = &reply
	}
	return out
}

// apply writes events in one transaction, which each job's trace shows.
func (f *Function) apply(ctx context.Context, events []cloudevents.Event) error {
	spans := make([]trace.Span, len(events))
	for i, e := range events {
		_, spans[i] = telemetry.Span(telemetry.FromEvent(ctx, e), "ledger apply", trace.SpanKindClient,
			attribute.String("cloudevents.event_id", e.ID()), attribute.Int("db.operation.batch.size", len(events)))
	}
	err := f.ledger.Apply(ctx, events...)
	for _, span := range spans {
		telemetry.End(span, err)
	}
	return err
}

// endsJob reports whether e ends its job.
func endsJob(e cloudevents.Event) (bool, error) {
	switch e.Type() {
	case event.SweepCompleted:
		d, err := event.Data[event.Completed](e)
		return !d.Late, err
	case event.SweepFailed:
		d, err := event.Data[event.Failed](e)
		return !d.Late, err
	}
	return false, nil
}

// outcome tells the broker what to do about an error of the ledger or the API.
func outcome(err error) error {
	if errors.Is(err, ledger.ErrUnreadable) {
		return reject(err)
	}
	return err
}

func reject(err error) error {
	return cehttp.NewResult(http.StatusUnprocessableEntity, "%w", err)
}

// end writes a job's end and makes the event that tells of it.
func (f *Function) end(ctx context.Context, e cloudevents.Event) (cloudevents.Event, error) {
	o, err := f.outcomeOf(ctx, e)
	if err != nil {
		return cloudevents.Event{}, err
	}
	writing, span := telemetry.Span(ctx, "ledger finish", trace.SpanKindClient,
		attribute.String("cloudevents.event_id", e.ID()), attribute.Int("rows", len(o.Rows)))
	done, err := f.ledger.Finish(writing, e, o)
	telemetry.End(span, err)
	if err != nil {
		return cloudevents.Event{}, fmt.Errorf("store end: %w", err)
	}
	if done.First {
		f.logEnd(ctx, done.Job)
	}
	reply, err := event.NewFinished(done.Job)
	if err != nil {
		return cloudevents.Event{}, fmt.Errorf("tell end of job %s: %w", done.Job.JobID, err)
	}
	event.CopyTrace(e, &reply)
	return reply, nil
}

// logEnd writes the line that tells of a job's end. Only the call that ended
// the job comes here, so there is one line for each job; a crash right after
// the commit loses it.
func (f *Function) logEnd(ctx context.Context, j job.Job) {
	attrs := []slog.Attr{
		slog.String("job_id", j.JobID), slog.String("job_type", j.JobType), slog.String("tenant_id", j.TenantID),
		slog.String("ticker", j.Ticker), slog.String("sweep_run_id", j.SweepRunID),
	}
	if j.StartedAt != nil {
		attrs = append(attrs, slog.Time("started_at", *j.StartedAt))
	}
	if j.DurationSeconds != nil {
		attrs = append(attrs, slog.Float64("duration_seconds", *j.DurationSeconds))
	}
	if j.Status == job.Completed {
		f.log.LogAttrs(ctx, slog.LevelInfo, "Job completed", append(attrs, slog.String("status", "completed"))...)
		return
	}
	attrs = append(attrs, slog.String("status", "failed"), slog.String("error_code", string(j.ErrorCode)))
	f.log.LogAttrs(ctx, slog.LevelWarn, "Job failed", attrs...)
}

// Ready reports whether the database answers. The trading API is not asked: it
// is needed for one kind of event only, and that one can wait.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	return serve.Check(ctx, map[string]func(context.Context) error{"PostgreSQL": f.ledger.Ping})
}

// Stop frees what FromEnv opened.
func (f *Function) Stop(context.Context) error { return f.close() }
