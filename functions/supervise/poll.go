package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// maxPollsWithoutRunID is how many polls in a row may find a sweep completed
// without the run id that its results are fetched by.
const maxPollsWithoutRunID = 5

// poll gets the status of a sweep whose callback has not arrived. A call worker (calls.go)
// runs it for a wait that is due and was granted a call (admit.go); the wait is its own
// until the lease of the grant ends. At the deadline it polls once more, since the callback may have been lost, and ends the wait in any
// case. A wait never times out without that poll: one without a call is repeated.
func (f *Function) poll(ctx context.Context, c wait.Call) error {
	r := c.Record
	j, err := f.api.Job(trading.PaidBy(ctx, &c.Calls), r.TradingJobID)
	switch {
	case err == nil && j.Status == trading.Completed && j.RunID != "",
		err == nil && (j.Status == trading.Failed || j.Status == trading.Cancelled):
		return f.end(ctx, r, endOf(r, j))
	case err != nil && !trading.Permanent(err) && !trading.Unavailable(err):
		return err // the call was not made
	case r.Expired():
		return f.timeOut(ctx, r, report(err))
	case trading.NotFound(err):
		return f.resubmit(ctx, r)
	case err != nil:
		return f.retryPoll(ctx, r, err)
	}
	missing := j.Status == trading.Completed
	if missing && r.RunIDMissed+1 >= maxPollsWithoutRunID {
		return f.end(ctx, r, wait.End{
			Code: job.SweepFailed, Message: "the trading API completed the sweep without naming its results",
			TradingJobID: r.TradingJobID, Via: event.ViaPoll, Read: wait.Answered(),
		})
	}
	_, err = f.waits.Progress(ctx, r, j.Progress, missing, f.interval(r), wait.Answered())
	return err
}

// endOf is the end that a poll found.
func endOf(r wait.Record, j trading.Job) wait.End {
	end := wait.End{TradingJobID: r.TradingJobID, ExecutionSeconds: j.ExecutionSeconds, Via: event.ViaPoll, Read: wait.Answered()}
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
	if f.cfg.ProgressEvery > 0 && r.At.Before(estimated) {
		return f.cfg.ProgressEvery
	}
	grown := float64(f.cfg.PollMin) * math.Pow(1.5, float64(min(r.Tries, 64)))
	return time.Duration(min(grown, float64(f.cfg.PollMax)))
}

// retryPoll schedules the next poll after a failed one.
func (f *Function) retryPoll(ctx context.Context, r wait.Record, cause error) error {
	next := max(f.interval(r), trading.RetryAfter(cause))
	slog.WarnContext(ctx, "poll sweep failed, retrying", "job_id", r.Header.JobID, "delay_seconds", next.Seconds(), "error", cause)
	_, err := f.waits.Progress(ctx, r, r.Progress, false, next, report(cause))
	return err
}

// report is the breaker report of a call about a sweep. An error of one sweep (500) does
// not count; an unreachable API or a Retry-After does.
func report(cause error) wait.Report {
	var e *trading.Error
	switch {
	case cause == nil || trading.Permanent(cause):
		return wait.Answered()
	case !errors.As(cause, &e) || !e.Unavailable():
		return wait.Report{} // cut off by ourselves
	case e.RetryAfter > 0 || e.Status == 0:
		return wait.Unanswered(e.RetryAfter)
	}
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return wait.Unanswered(0)
	}
	return wait.Report{}
}

func (f *Function) timeOut(ctx context.Context, r wait.Record, read wait.Report) error {
	return f.end(ctx, r, wait.End{
		Code: job.TimedOut, TradingJobID: r.TradingJobID, Via: event.ViaDeadline, Read: read,
		Message: fmt.Sprintf("no result within %s", f.waits.Config().CallbackTimeout),
	})
}

// resubmit requeues a job whose sweep the API has lost, such as after a restart.
func (f *Function) resubmit(ctx context.Context, r wait.Record) error {
	if r.Submissions > f.cfg.Resubmissions {
		return f.end(ctx, r, wait.End{
			Code: job.SweepFailed, TradingJobID: r.TradingJobID, Via: event.ViaPoll, Read: wait.Answered(),
			Message: fmt.Sprintf("the trading API lost the sweep %d times", r.Submissions),
		})
	}
	ok, err := f.waits.Forget(ctx, r)
	if err != nil || !ok {
		return err
	}
	slog.WarnContext(ctx, "trading API lost the sweep, resubmitting", "job_id", r.Header.JobID, "trading_job_id", r.TradingJobID)
	f.calls.signal()
	return nil
}
