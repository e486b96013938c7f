package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// patienceWithoutRunID is how many polls in a row may find a sweep completed
// without the run id that its results are fetched by.
const patienceWithoutRunID = 5

// poll asks the API how a sweep stands whose callback has not come. At the
// deadline it asks once more, since the callback may have been lost just then,
// and ends the wait whatever the answer.
func (f *Function) poll(ctx context.Context, r wait.Record) error {
	now := f.waits.Now()
	over := !r.Deadline.IsZero() && !now.Before(r.Deadline)
	urgency := wait.Patient
	if over {
		urgency = wait.Urgent
	}
	pause, err := f.waits.Allow(ctx, urgency)
	if err != nil {
		return err
	}
	switch {
	case pause > 0 && over:
		return f.timeOut(ctx, r)
	case pause > 0:
		_, err := f.waits.Schedule(ctx, r, f.waits.Now().Add(max(pause, time.Second)))
		return err
	}
	j, err := f.api.Job(ctx, r.TradingJobID)
	f.report(ctx, err)
	switch {
	case err == nil && j.Status == trading.Completed && j.RunID != "",
		err == nil && (j.Status == trading.Failed || j.Status == trading.Cancelled):
		return f.end(ctx, r, endOf(j))
	case over:
		return f.timeOut(ctx, r)
	case trading.NotFound(err):
		return f.resubmit(ctx, r)
	case err != nil:
		return f.later(ctx, r, err)
	}
	missing := j.Status == trading.Completed
	if missing && r.RunIDMissed+1 >= patienceWithoutRunID {
		return f.end(ctx, r, wait.End{
			Code: job.SweepFailed, Message: "the trading API completed the sweep without naming its results",
			TradingJobID: r.TradingJobID, Via: event.ViaPoll,
		})
	}
	_, err = f.waits.Progress(ctx, r, j.Progress, missing, f.waits.Now().Add(f.interval(r)))
	return err
}

// endOf is the end that a poll found.
func endOf(j trading.Job) wait.End {
	end := wait.End{TradingJobID: j.ID, ExecutionSeconds: j.ExecutionSeconds, Via: event.ViaPoll}
	switch j.Status {
	case trading.Completed:
		end.RunID = j.RunID
	case trading.Cancelled:
		end.Code, end.Message = job.Cancelled, "the sweep was cancelled at the trading API"
	default:
		end.Code, end.Message = job.SweepFailed, j.ErrorMessage
		if end.Message == "" {
			end.Message = "the sweep failed at the trading API"
		}
	}
	return end
}

// interval is the time to the next poll: it grows by half with each.
func (f *Function) interval(r wait.Record) time.Duration {
	estimated := r.StartedAt.Add(time.Duration(r.EstimatedSeconds * float64(time.Second)))
	if f.cfg.ProgressEvery > 0 && f.waits.Now().Before(estimated) {
		return f.cfg.ProgressEvery
	}
	grown := float64(f.cfg.PollMin) * math.Pow(1.5, float64(min(r.Tries, 64)))
	return time.Duration(min(grown, float64(f.cfg.PollMax)))
}

// later polls again after the API could not answer.
func (f *Function) later(ctx context.Context, r wait.Record, cause error) error {
	next := f.interval(r)
	var e *trading.Error
	if errors.As(cause, &e) {
		next = max(next, e.RetryAfter)
	}
	slog.WarnContext(ctx, "Sweep not polled", "job_id", r.Header.JobID, "again_seconds", next.Seconds(), "error", cause)
	_, err := f.waits.Progress(ctx, r, r.Progress, false, f.waits.Now().Add(next))
	return err
}

// report passes on how the API is, so that nobody submits while it is down.
func (f *Function) report(ctx context.Context, cause error) {
	var retryAfter time.Duration
	var e *trading.Error
	if errors.As(cause, &e) {
		retryAfter = e.RetryAfter
	}
	if cause != nil && !trading.Permanent(cause) && !trading.Unavailable(cause) {
		return // cut off by ourselves: says nothing of the API
	}
	if _, err := f.waits.Report(ctx, cause == nil || trading.Permanent(cause), retryAfter); err != nil {
		slog.WarnContext(ctx, "API state not shared", "error", err)
	}
}

func (f *Function) timeOut(ctx context.Context, r wait.Record) error {
	return f.end(ctx, r, wait.End{
		Code: job.TimedOut, TradingJobID: r.TradingJobID, Via: event.ViaDeadline,
		Message: fmt.Sprintf("no result within %s", f.waits.Config().CallbackTimeout),
	})
}

// resubmit sends a job back to be submitted again whose sweep the API does not
// know any more: it was restarted and has forgotten.
func (f *Function) resubmit(ctx context.Context, r wait.Record) error {
	if r.Submissions > f.cfg.Resubmissions {
		return f.end(ctx, r, wait.End{
			Code: job.SweepFailed, TradingJobID: r.TradingJobID, Via: event.ViaPoll,
			Message: fmt.Sprintf("the trading API lost the sweep %d times", r.Submissions),
		})
	}
	_, ok, err := f.waits.Forget(ctx, r)
	if err != nil || !ok {
		return err
	}
	slog.WarnContext(ctx, "Sweep lost by the trading API", "job_id", r.Header.JobID, "trading_job_id", r.TradingJobID)
	return f.grant(ctx, r.Header.JobID)
}
