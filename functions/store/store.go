// Package store is the step that remembers: it takes every event of a sweep and
// writes it into the job store, a batch in one statement. When a job has ended,
// however it did, it replies with JobCompleted or JobFailed, which notify takes.
// It calls nobody but the database: the rows of a sweep are collect's.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
)

// JobStore is what store needs of shared/jobstore.
type JobStore interface {
	Apply(ctx context.Context, events ...cloudevents.Event) []jobstore.Applied
	Ping(ctx context.Context) error
}

// Function is the step. Everything it does is safe to repeat.
type Function struct {
	jobStore JobStore
	log      *slog.Logger
	close    func() error
}

// New makes the step; it does no I/O. A nil log is slog's default. The caller
// closes what it hands in.
func New(l JobStore, log *slog.Logger) (*Function, error) {
	if l == nil {
		return nil, errors.New("store: job store is required")
	}
	if log == nil {
		log = slog.Default()
	}
	return &Function{jobStore: l, log: log, close: func() error { return nil }}, nil
}

// Handle writes one event down. The reply, if any, is the job's end, given
// again on every redelivery; its id is the same, so the broker drops repeats.
//
// An event that can never be stored is rejected (422). An unavailable database
// is answered with 503, anything unexpected with 500: the broker tries again.
func (f *Function) Handle(ctx context.Context, e cloudevents.Event) (*cloudevents.Event, error) {
	o := f.HandleBatch(ctx, []cloudevents.Event{e})[0]
	return o.Reply, o.Err
}

// HandleBatch writes events down in one statement; each has an outcome as if it
// had come alone.
func (f *Function) HandleBatch(ctx context.Context, events []cloudevents.Event) []function.Outcome {
	out := make([]function.Outcome, len(events))
	for i, a := range f.apply(ctx, events) {
		if a.Err != nil {
			out[i].Err = outcome(a.Err)
			continue
		}
		if a.Job == nil {
			continue
		}
		if a.First {
			f.logEnd(telemetry.FromEvent(ctx, events[i]), *a.Job)
		}
		reply, err := event.NewFinished(*a.Job)
		if err != nil {
			out[i].Err = fmt.Errorf("build end event of job %s: %w", a.Job.JobID, err)
			continue
		}
		event.CopyTrace(events[i], &reply)
		out[i].Reply = &reply
	}
	return out
}

// apply writes events in one statement, which each job's trace shows.
func (f *Function) apply(ctx context.Context, events []cloudevents.Event) []jobstore.Applied {
	spans := make([]trace.Span, len(events))
	for i, e := range events {
		_, spans[i] = telemetry.Span(telemetry.FromEvent(ctx, e), "job store apply", trace.SpanKindClient,
			attribute.String("cloudevents.event_id", e.ID()), attribute.Int("db.operation.batch.size", len(events)))
	}
	applied := f.jobStore.Apply(ctx, events...)
	for i, span := range spans {
		telemetry.End(span, applied[i].Err)
	}
	return applied
}

// Delays until the next attempt.
const (
	later  = 2 * time.Second  // the database is unavailable
	person = 30 * time.Second // it takes somebody to mend
)

// outcome tells the broker what to do about an error of the job store.
func outcome(err error) error {
	switch {
	case errors.Is(err, jobstore.ErrUnreadable):
		return cehttp.NewResult(http.StatusUnprocessableEntity, "%w", err)
	case errors.Is(err, jobstore.ErrUnavailable):
		return &sink.Unavailable{RetryAfter: later, Err: err}
	case errors.Is(err, jobstore.ErrUnusable):
		return &sink.Unavailable{RetryAfter: person, Err: err}
	}
	return err
}

// logEnd writes the line that tells of a job's end. Only the event that ended
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
		f.log.LogAttrs(ctx, slog.LevelInfo, "Job completed", append(attrs, slog.String("status", "completed"))...) //nolint:sloglint // the wording is promised
		return
	}
	attrs = append(attrs, slog.String("status", "failed"), slog.String("error_code", string(j.ErrorCode)))
	f.log.LogAttrs(ctx, slog.LevelWarn, "Job failed", attrs...) //nolint:sloglint // the wording is promised
}

// Ready reports whether the database answers and can be written.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	return function.Check(ctx, map[string]func(context.Context) error{"PostgreSQL": f.jobStore.Ping})
}

// Stop frees what FromEnv opened.
func (f *Function) Stop(context.Context) error { return f.close() }
