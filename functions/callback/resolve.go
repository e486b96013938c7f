package callback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// resolve ends the wait and sends the end's event, also if Redis has lost the record
// and the job store knows the job. The returned context is in the job's trace if the
// record was read. An error comes with unavailable: the supervisor does the rest.
func (f *Function) resolve(ctx context.Context, jobID string, c trading.Callback) (context.Context, outcome, error) {
	traced, o, err := f.resolveKnown(ctx, jobID, c)
	if o != unknown || f.lost == nil {
		return traced, o, err
	}
	j, err := f.lost.Find(ctx, jobID)
	switch {
	case errors.Is(err, jobstore.ErrNotFound):
		return ctx, unknown, nil
	case err != nil:
		return ctx, unavailable, err
	case j.Status.Terminal():
		return ctx, duplicate, nil
	}
	return f.resolveKnown(ctx, jobID, c)
}

func (f *Function) resolveKnown(ctx context.Context, jobID string, c trading.Callback) (_ context.Context, o outcome, err error) {
	end, err := f.endOf(ctx, jobID, c)
	switch {
	case errors.Is(err, errForeign):
		return ctx, foreign, nil
	case errors.Is(err, wait.ErrUnknown):
		return ctx, unknown, nil
	case err != nil:
		return ctx, unavailable, err
	}
	res, err := f.waits.Resolve(ctx, jobID, end)
	switch {
	case errors.Is(err, wait.ErrUnknown):
		return ctx, unknown, nil
	case err != nil:
		return ctx, unavailable, err
	}
	ctx, span := telemetry.Span(res.Record.Trace(ctx), "end wait", trace.SpanKindInternal, attribute.Bool("wait.won", res.Won))
	if res.Foreign {
		telemetry.End(span, nil)
		slog.WarnContext(ctx, "callback belongs to another sweep, ignoring", "job_id", jobID, "trading_job_id", c.TradingJobID)
		return ctx, foreign, nil
	}
	o, err = f.sendEnd(ctx, jobID, end, res)
	telemetry.End(span, err)
	return ctx, o, err
}

// sendEnd sends the events of an end that the wait has accepted or refused.
func (f *Function) sendEnd(ctx context.Context, jobID string, end wait.End, res wait.Resolution) (outcome, error) {
	if res.Won || end.Same(res.Record) {
		// A repeated callback may follow a lost event.
		if res.Record.Actions.Has(wait.ActionEvent) {
			if err := f.waits.Announce(ctx, res, f.sink); err != nil {
				return unavailable, err
			}
		}
		switch {
		case !res.Won:
			return duplicate, nil
		case end.Code == "":
			return completed, nil
		default:
			return failed, nil
		}
	}
	end.At = f.waits.Now()
	e, err := res.Record.LateEvent(ctx, end)
	if err != nil {
		return unavailable, err
	}
	if err := f.sink.Send(ctx, e); err != nil {
		// The API does not call again.
		if kept, lost := f.waits.KeepLate(ctx, jobID, end); !kept {
			return unavailable, errors.Join(err, lost)
		}
	}
	return late, nil
}

// endOf is the end that the callback reports. If a completed sweep has no run id, the
// API is polled for it; if that fails, the supervisor polls at once.
func (f *Function) endOf(ctx context.Context, jobID string, c trading.Callback) (wait.End, error) {
	end := wait.End{TradingJobID: c.TradingJobID, ExecutionSeconds: c.ExecutionSeconds, Via: event.ViaCallback, AdmitNext: true}
	switch {
	case c.Status == trading.Failed:
		end.Code, end.Message = job.SweepFailed, c.ErrorMessage
		if end.Message == "" {
			end.Message = "the sweep failed at the trading API"
		}
		return end, nil
	case c.Status == trading.Cancelled:
		end.Code, end.Message = job.Cancelled, "the sweep was cancelled at the trading API"
		return end, nil
	case c.RunID != "":
		end.RunID = c.RunID
		return end, nil
	}
	r, err := f.waits.Get(ctx, jobID)
	if err != nil {
		return end, err
	}
	if r.State.Ended() {
		end.RunID = r.SweepRunID
		return end, nil
	}
	if (r.TradingJobID != "" && r.TradingJobID != c.TradingJobID) || slices.Contains(r.Dropped, c.TradingJobID) {
		return end, errForeign // no call needed
	}
	j, err := f.poll(ctx, c.TradingJobID)
	if err == nil && j.RunID != "" {
		end.RunID, end.ExecutionSeconds = j.RunID, max(end.ExecutionSeconds, j.ExecutionSeconds)
		return end, nil
	}
	if r.State == wait.Waiting {
		if _, err := f.waits.Reschedule(ctx, r, 0, wait.Report{}); err != nil {
			slog.WarnContext(ctx, "rescheduling poll failed", "job_id", jobID, "error", err)
		}
	}
	return end, fmt.Errorf("job %s completed without a run id: %w", jobID, errors.Join(errNoRunID, err))
}

var (
	errNoRunID = errors.New("trading API returned no run id")
	errForeign = errors.New("callback belongs to another sweep")
)

func (f *Function) poll(ctx context.Context, tradingJobID string) (trading.Job, error) {
	pause, err := f.waits.Allow(ctx)
	switch {
	case err != nil:
		return trading.Job{}, err
	case pause > 0:
		return trading.Job{}, errors.New("no call left in the budget")
	}
	j, err := f.api.Job(trading.Paid(ctx), tradingJobID)
	if err == nil && j.Status != trading.Completed {
		return trading.Job{}, fmt.Errorf("trading API status is %s", j.Status)
	}
	return j, err
}
