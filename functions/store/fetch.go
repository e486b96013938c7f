package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

// maxRows is more than any sweep has: periods go up to 500, so there are fewer
// than 125,000 pairs of them.
const maxRows = 250_000

// errTooMany: the API's answer is no sweep's, and will not shrink.
var errTooMany = errors.New("more rows than a sweep can have")

// outcomeOf is what is to be stored with the event that ends a job: the rows of
// a completed sweep, or why they cannot be had.
func (f *Function) outcomeOf(ctx context.Context, e cloudevents.Event) (ledger.Outcome, error) {
	if e.Type() != event.SweepCompleted {
		return ledger.Outcome{}, nil
	}
	d, err := event.Data[event.Completed](e)
	if err != nil {
		return ledger.Outcome{}, fmt.Errorf("%w: %w", ledger.ErrUnreadable, err)
	}
	// A redelivery must not fetch a hundred thousand rows again.
	switch j, err := f.ledger.Job(ctx, d.TenantID, d.JobID); {
	case err == nil && j.Status.Terminal():
		return ledger.Outcome{}, nil
	case err != nil && !errors.Is(err, ledger.ErrNotFound):
		return ledger.Outcome{}, fmt.Errorf("look job up: %w", err)
	}
	rows, dropped, err := f.fetch(ctx, d)
	var refused interface{ Permanent() bool }
	switch {
	case errors.Is(err, errTooMany), errors.As(err, &refused) && refused.Permanent():
		f.parts.take(d.JobID, d.SweepRunID) // nobody will need them
		return failure("the results cannot be read: %s", err), nil
	case err != nil:
		return ledger.Outcome{}, fmt.Errorf("fetch results of job %s: %w", d.JobID, err)
	case dropped > 0 && len(rows) == 0:
		return failure("none of the %d result rows belongs to this sweep", dropped), nil
	case dropped > 0:
		f.log.LogAttrs(ctx, slog.LevelWarn, "Result rows dropped", slog.String("job_id", d.JobID), slog.String("tenant_id", d.TenantID), slog.Int("dropped", dropped), slog.Int("kept", len(rows)))
	}
	return ledger.Outcome{Rows: rows, Metrics: metrics(rows, d)}, nil
}

func failure(format string, args ...any) ledger.Outcome {
	return ledger.Outcome{Failure: &ledger.Failure{Code: job.SweepFailed, Message: fmt.Sprintf(format, args...)}}
}

// fetch gathers all rows before the ledger opens its transaction, so that none
// stays open while a slow API is asked two hundred times. The largest sweep
// takes some 40 MB. Where it is interrupted it leaves what it has to the next
// delivery.
func (f *Function) fetch(ctx context.Context, d event.Completed) (rows []job.Row, dropped int, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.FetchTimeout)
	defer cancel()
	got := f.parts.take(d.JobID, d.SweepRunID)
	for r, err := range f.results.ResultsFrom(ctx, d.SweepRunID, d.Parameters.Ticker, got.seen) {
		if err != nil {
			f.parts.keep(d.JobID, got)
			return nil, 0, err
		}
		if got.seen++; got.seen > maxRows {
			return nil, 0, errTooMany
		}
		if r, ok := admit(r, d.Parameters); ok {
			got.rows = append(got.rows, r)
		}
	}
	return got.rows, got.seen - len(got.rows), nil
}

// admit decides on one row from outside. A row is dropped if it names another
// ticker or strategy than the sweep, a period outside 1–500, or fewer than no
// trades. A ticker or strategy that it leaves out is the sweep's. Figures are
// made storable by ledger.Clean and drop no row.
func admit(r job.Row, s job.Sweep) (job.Row, bool) {
	if r.Ticker == "" {
		r.Ticker = s.Ticker
	}
	if r.StrategyType == "" {
		r.StrategyType = s.StrategyType
	}
	switch {
	case !strings.EqualFold(r.Ticker, s.Ticker), !strings.EqualFold(r.StrategyType, s.StrategyType):
		return r, false
	case !period(r.FastPeriod), !period(r.SlowPeriod), r.SignalPeriod != nil && !period(*r.SignalPeriod):
		return r, false
	case r.TotalTrades < 0:
		return r, false
	}
	// One spelling, so that one combination is one row.
	r.Ticker, r.StrategyType = s.Ticker, s.StrategyType
	return ledger.Clean(r), true
}

func period(n int) bool { return n >= job.MinPeriod && n <= job.MaxPeriod }

func metrics(rows []job.Row, d event.Completed) job.Metrics {
	m := job.Metrics{Combinations: len(rows)}
	for i, r := range rows {
		m.Synthetic = m.Synthetic || r.Synthetic
		if i == 0 || r.Score > m.BestScore {
			m.BestScore = r.Score
		}
	}
	if s := d.ExecutionSeconds; s > 0 && !math.IsInf(s, 0) {
		m.ExecutionSeconds = s
	}
	return m
}
