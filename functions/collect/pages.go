package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/trading"
)

// maxRows is more than any sweep has: periods go up to 500, so there are fewer
// than 125,000 pairs. It ends a loop over an API that pages in circles.
const maxRows = 250_000

// collect fetches and stores pages from where the job's collection is to the
// last, or until ctx ends. Without a reply and an error the job has ended.
func (f *Function) collect(ctx context.Context, e cloudevents.Event, d event.Completed) (*cloudevents.Event, error) {
	at, err := f.begin(ctx, e, d)
	if err != nil || at.Status.Terminal() {
		return nil, err
	}
	next := at.Next
	if at.SweepRunID != d.SweepRunID {
		next = 0
	}
	all := next > 0 && at.Total > 0 && next >= at.Total
	for {
		fetched, err := f.fetch(ctx, d, next)
		switch {
		case err != nil && all && ctx.Err() == nil && lasting(err):
			// Only the reply was lost: that the API has forgotten the rows since does not matter.
			return f.complete(ctx, d, jobstore.ResultPage{From: next, Next: next}, trading.Page{})
		case err != nil:
			return f.failed(ctx, d, next, err)
		}
		all = false
		page := pageOf(d, next, fetched)
		if max(page.Next, page.Total) > maxRows {
			return f.fail(d, errors.New("more rows than a sweep can have"))
		}
		stored, err := f.store(ctx, page)
		switch {
		case err != nil:
			return nil, err
		case stored.Status.Terminal():
			return nil, nil
		case stored.SweepRunID != d.SweepRunID, stored.Status == "":
			return nil, fmt.Errorf("collect rows of job %s: stored collection belongs to run %q", d.JobID, stored.SweepRunID)
		case stored.Next == page.Next && page.Last:
			return f.complete(ctx, d, page, fetched)
		}
		next = stored.Next // another delivery may have got further
	}
}

// begin finds out how far the job's rows are. A job that the job store has not
// heard of yet is created by the event, as store would.
func (f *Function) begin(ctx context.Context, e cloudevents.Event, d event.Completed) (jobstore.Collection, error) {
	at, err := one(f.jobStore.Collections(ctx, d.Header))
	if err != nil || at.Status != "" {
		return at, err
	}
	if err := jobstore.Errors(f.jobStore.Apply(ctx, e)); err != nil {
		return at, err
	}
	return one(f.jobStore.Collections(ctx, d.Header))
}

// one is the collection of a call for one job.
func one(all []jobstore.Collection, err error) (jobstore.Collection, error) {
	switch {
	case err != nil:
		return jobstore.Collection{}, err
	case len(all) != 1:
		return jobstore.Collection{}, fmt.Errorf("read collection: got %d results, want 1", len(all))
	}
	return all[0], nil
}

func (f *Function) fetch(ctx context.Context, d event.Completed, offset int) (trading.Page, error) {
	if err := f.pace(ctx); err != nil {
		return trading.Page{}, &sink.Unavailable{RetryAfter: later, Err: fmt.Errorf("pace fetching rows of job %s: %w", d.JobID, err)}
	}
	return f.results.Page(trading.Paid(ctx), d.SweepRunID, d.Parameters.Ticker, offset)
}

func (f *Function) store(ctx context.Context, p jobstore.ResultPage) (jobstore.Collection, error) {
	ctx, span := telemetry.Span(ctx, "job store collect", trace.SpanKindClient, attribute.Int("offset", p.From), attribute.Int("rows", len(p.Rows)))
	c, err := one(f.jobStore.Collect(ctx, p))
	telemetry.End(span, err)
	return c, err
}

// pageOf is a page of the API's as it is stored.
func pageOf(d event.Completed, from int, fetched trading.Page) jobstore.ResultPage {
	p := jobstore.ResultPage{
		Header: d.Header, SweepRunID: d.SweepRunID, From: from, Next: from + len(fetched.Rows),
		Total: max(fetched.Total, 0), Last: fetched.Last, Rows: make([]job.Row, 0, len(fetched.Rows)),
	}
	for _, r := range fetched.Rows {
		if r, ok := admit(r, d.Parameters); ok {
			p.Rows = append(p.Rows, r)
		}
	}
	if from == 0 && p.Last {
		heatmap.JudgeRows(p.Rows, d.Parameters.Step)
	}
	return p
}

// failed decides on a page that could not be fetched. An error that lies in the
// page is counted, in the job store and so over all processes, and ends the job
// when it has been seen often enough.
func (f *Function) failed(ctx context.Context, d event.Completed, offset int, err error) (*cloudevents.Event, error) {
	if ctx.Err() != nil || !lasting(err) {
		return nil, err
	}
	n, countErr := f.jobStore.CollectFailed(ctx, d.Header, d.SweepRunID)
	switch {
	case countErr != nil:
		return nil, countErr
	case n >= f.cfg.Attempts:
		return f.fail(d, fmt.Errorf("rows from %d: %w (%d attempts)", offset, err, n))
	}
	return nil, &sink.Unavailable{RetryAfter: later, Err: err}
}

// lasting reports that the API answered, and that its answer may be the same
// for ever.
func lasting(err error) bool {
	var refused interface{ Permanent() bool }
	var unread interface{ Unreadable() bool }
	return errors.As(err, &refused) && refused.Permanent() || errors.As(err, &unread) && unread.Unreadable()
}

// fail makes the event that ends a job whose rows cannot be had.
func (f *Function) fail(d event.Completed, cause error) (*cloudevents.Event, error) {
	e, err := event.NewFailed(event.Failed{
		Header: d.Header, TradingJobID: d.TradingJobID, SweepRunID: d.SweepRunID, ErrorCode: job.SweepFailed,
		ErrorMessage: fmt.Sprintf("the results cannot be read: %s", cause), Turn: d.Turn, SubmittedAt: d.SubmittedAt,
		FailedAt: time.Now(), Via: event.ViaCollect,
	})
	return &e, err
}

// complete makes the event that tells that all rows are stored. What it tells of
// them is computed from the only page, or from the job store where others came
// before, perhaps from another process.
func (f *Function) complete(ctx context.Context, d event.Completed, last jobstore.ResultPage, fetched trading.Page) (*cloudevents.Event, error) {
	var sum jobstore.Summary
	if last.From == 0 {
		sum = jobstore.Summarize(last.Rows)
	} else {
		if err := f.assess(ctx, d, last.Next); err != nil {
			return nil, err
		}
		var err error
		if sum, err = f.jobStore.Summary(ctx, d.TenantID, d.JobID); err != nil {
			return nil, err
		}
	}
	switch dropped := last.Next - sum.Rows; {
	case sum.Rows == 0 && dropped > 0:
		return f.fail(d, fmt.Errorf("all %d result rows belong to other sweeps", dropped))
	case dropped > 0:
		f.log.LogAttrs(ctx, slog.LevelWarn, "result rows of other sweeps dropped", slog.String("job_id", d.JobID), slog.String("tenant_id", d.TenantID),
			slog.Int("dropped", dropped), slog.Int("kept", sum.Rows))
	}
	e, err := event.NewCollected(event.Collected{
		Header: d.Header, TradingJobID: d.TradingJobID, SweepRunID: d.SweepRunID, Turn: d.Turn, SubmittedAt: d.SubmittedAt,
		CompletedAt: d.CompletedAt, ExecutionSeconds: d.ExecutionSeconds, CollectedAt: time.Now(),
		Rows: sum.Rows, Total: last.Next, BestScore: sum.BestScore, Synthetic: fetched.Synthetic, Data: fetched.Data, Best: sum.Best,
	})
	return &e, err
}
