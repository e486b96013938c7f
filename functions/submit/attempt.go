package submit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// settleTimeout bounds recording the outcome of an attempt. It is independent of the
// event's own timeout, which may have expired by then.
const settleTimeout = 10 * time.Second

// healthKept is how long the API counts as healthy after any answered call: each health
// check costs a call of its limit per minute.
const healthKept = 5 * time.Second

// minFirstPoll is the minimum delay of the first poll: the API allows one a second per
// job.
const minFirstPoll = time.Second

// attempt calls the API as the attempt in charge. Its calls were granted with the
// admission; if they have expired, or more are needed, the client waits for others.
// asked is when the wait was asked for the attempt, before it was granted.
func (f *Function) attempt(ctx context.Context, entry wait.Entry, asked time.Time) (*cloudevents.Event, error) {
	r, findFirst := entry.Record, entry.Decision == wait.FindFirst
	call, lease, stop := f.keepLease(ctx, r, asked)
	defer stop()
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), handleTimeout+settleTimeout)
	defer cancel()

	// An unhealthy API is not called. Without a health endpoint, or without a call
	// for it, the submission decides.
	if entry.Check {
		if err := f.api.Health(trading.PaidBy(call, &entry.Calls)); err != nil && !trading.Permanent(err) {
			return nil, f.backOff(settle, r, err, findFirst)
		}
		f.answered()
	}
	if findFirst {
		found, err := f.api.Find(trading.PaidBy(call, &entry.Calls), r.Header.JobID, before(r))
		if err != nil {
			return nil, f.backOffUnverifiable(settle, r, err)
		}
		if best, ok := pick(found, r.Dropped); ok {
			// It may have ended by now, and its callback may be lost.
			return f.note(settle, r, trading.Submission{JobID: best.ID}, minFirstPoll, found...)
		}
	}
	token := trading.Token(f.cfg.Secret, r.Header.JobID)
	callbackURL, err := trading.CallbackURL(f.cfg.BaseURL, r.Header.JobID, token)
	if err != nil {
		return nil, err
	}
	headers := trading.CallbackHeaders(token)
	if telemetry.Traced(call) {
		telemetry.IntoMap(call, headers) // they come back with the callback
	}
	sub, err := f.api.Submit(trading.Before(trading.PaidBy(call, &entry.Calls), lease.hold), r.Header.Parameters, callbackURL, headers)
	switch {
	case errors.Is(err, errLeaseLost):
		slog.WarnContext(ctx, "another attempt is in charge, not submitting", "job_id", r.Header.JobID, "attempt", r.Attempt)
		return nil, nil
	case err == nil:
		f.answered()
		return f.note(settle, r, sub, f.firstPoll(sub))
	case trading.Permanent(err):
		f.answered()
		return f.reject(settle, r, err)
	case errors.Is(err, trading.ErrUnnamed) && r.Tries >= maxUnnamed:
		return f.reject(settle, r, err)
	default:
		return nil, f.backOff(settle, r, err, trading.Uncertain(err) && !f.absent(call, r, err))
	}
}

// maxUnnamed is after how many attempts a sweep is given up that the API takes without
// naming it, and does not know when it is looked for: each attempt may have started
// another, and no further one is likelier to be named. They take five minutes.
const maxUnnamed = 10

// before is a time before the first submission of a job.
func before(r wait.Record) time.Time {
	if r.AfterLoss {
		return r.Header.CreatedAt.Add(-wait.LossWindow)
	}
	if r.ParkedAt.IsZero() || r.Header.CreatedAt.Before(r.ParkedAt) {
		return r.Header.CreatedAt
	}
	return r.ParkedAt
}

// answered records that the API answered.
func (f *Function) answered() { f.healthyUntil.Store(time.Now().Add(healthKept).UnixMilli()) }

// enterOptions requests a health check if the API has not answered lately.
func (f *Function) enterOptions() []wait.EnterOption {
	if time.Now().UnixMilli() < f.healthyUntil.Load() {
		return nil
	}
	return []wait.EnterOption{wait.WithHealthCheck}
}

// errLeaseLost: another attempt is in charge, or may be.
var errLeaseLost = errors.New("the attempt is not in charge any more")

// lease is the time for which an attempt is in charge.
type lease struct {
	waits  *wait.Waits
	record wait.Record
	length time.Duration
	// since is when the lease was last asked for with success, after start.
	start time.Time
	since atomic.Int64
}

// age is the time since the lease was asked for. At length it is over.
func (l *lease) age() time.Duration { return time.Since(l.start) - time.Duration(l.since.Load()) }

// extend renews the lease. It is false where another attempt has it.
func (l *lease) extend(ctx context.Context) (bool, error) {
	asked := time.Since(l.start)
	ours, err := l.waits.Extend(ctx, l.record)
	if err == nil && ours {
		l.since.Store(int64(asked))
	}
	return ours, err
}

// hold returns nil if the attempt is in charge for a while yet. A process that stood
// still in the middle of an attempt does not know yet that its lease is over: it must
// find out before it calls, or the job gets a second sweep.
func (l *lease) hold(ctx context.Context) error {
	if l.age() < l.length/2 {
		return nil
	}
	switch ours, err := l.extend(ctx); {
	case err != nil:
		return err
	case !ours:
		return errLeaseLost
	}
	return nil
}

// keepLease renews the attempt's lease until stop is called. The context ends if the
// lease is lost: then another attempt may be calling.
func (f *Function) keepLease(ctx context.Context, r wait.Record, asked time.Time) (context.Context, *lease, func()) {
	ctx, cancel := context.WithCancel(ctx)
	l := &lease{waits: f.waits, record: r, length: f.waits.Config().SubmitLease, start: asked}
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(l.length / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			ours, err := l.extend(ctx)
			if err == nil && !ours || l.age() > l.length*3/4 {
				cancel()
				return
			}
		}
	}()
	return ctx, l, func() {
		cancel()
		<-done
	}
}

// absent reports, after an ambiguous answer, whether the API does not have the sweep.
// Only a definite no counts.
func (f *Function) absent(ctx context.Context, r wait.Record, cause error) bool {
	var e *trading.Error
	if !errors.As(cause, &e) || e.Status < http.StatusInternalServerError {
		return false // without an answer it may still be taking it
	}
	if pause, err := f.waits.Allow(ctx); err != nil || pause > 0 {
		return false
	}
	found, err := f.api.Find(trading.Paid(ctx), r.Header.JobID, before(r))
	return err == nil && len(found) == 0
}

// backOff requeues the job for a later attempt, and reports the failure to the breaker.
func (f *Function) backOff(ctx context.Context, r wait.Record, cause error, uncertain bool) error {
	f.healthyUntil.Store(0)
	s := wait.RequeueReason{Uncertain: uncertain}
	if trading.Unavailable(cause) { // else it was cut off by ourselves, which says nothing of the API
		s.Submission = wait.Unanswered(trading.RetryAfter(cause))
	}
	return f.requeue(ctx, r, cause, s)
}

// backOffUnverifiable requeues a job for which the API did not say whether it has a
// sweep. It is not submitted before that is known: there could be two sweeps.
func (f *Function) backOffUnverifiable(ctx context.Context, r wait.Record, cause error) error {
	s := wait.RequeueReason{Uncertain: true, Unverifiable: trading.Permanent(cause) || errors.Is(cause, trading.ErrTruncated)}
	return f.requeue(ctx, r, cause, s)
}

func (f *Function) requeue(ctx context.Context, r wait.Record, cause error, s wait.RequeueReason) error {
	// Backoff per job: 1s, 2s, 4s, …, independent of other jobs.
	s.Delay = max(min(time.Second<<min(r.Tries, 16), f.cfg.BackoffMax), trading.RetryAfter(cause))
	slog.WarnContext(ctx, "job requeued", "job_id", r.Header.JobID, "tenant_id", r.Header.TenantID,
		"delay_seconds", s.Delay.Seconds(), "uncertain", s.Uncertain, "error", cause)
	return f.waits.Requeue(ctx, r, s)
}

// note records that the API has the sweep. If this fails, the event is redelivered and
// the sweep is found. Of several sweeps of one job the others are duplicates.
func (f *Function) note(ctx context.Context, r wait.Record, sub trading.Submission, first time.Duration, found ...trading.Job) (*cloudevents.Event, error) {
	result, now, err := f.waits.Note(ctx, r.Header.JobID, sub.JobID, sub.EstimatedDuration, first)
	if err != nil {
		return nil, err
	}
	for _, j := range found {
		if j.ID == sub.JobID || j.Status.Ended() {
			continue
		}
		slog.WarnContext(ctx, "duplicate sweep, cancelling", "job_id", r.Header.JobID, "trading_job_id", j.ID)
		if _, _, err := f.waits.Note(ctx, r.Header.JobID, j.ID, 0, first); err != nil {
			return nil, err
		}
	}
	if result == wait.DuplicateSweep {
		// Two attempts ran concurrently despite the lease. The supervisor cancels
		// this one's sweep.
		slog.WarnContext(ctx, "duplicate sweep, cancelling", "job_id", r.Header.JobID, "trading_job_id", sub.JobID)
		return nil, nil
	}
	h := now.Header
	slog.InfoContext(ctx, "Job started", "job_id", h.JobID, "job_type", h.JobType, "tenant_id", h.TenantID, //nolint:sloglint // the wording is promised
		"ticker", h.Parameters.Ticker, "started_at", now.StartedAt, "status", string(now.JobState()), "trading_job_id", sub.JobID)
	return reply(ctx, now)
}

// firstPoll is a little after the sweep should have ended by itself.
func (f *Function) firstPoll(sub trading.Submission) time.Duration {
	first := f.cfg.FirstPoll
	if sub.EstimatedDuration > 0 {
		first = sub.EstimatedDuration + sub.EstimatedDuration/10
	}
	if p := f.cfg.ProgressEvery; p > 0 {
		first = min(first, p)
	}
	return max(first, minFirstPoll)
}

// reject ends a job that the API rejected permanently.
func (f *Function) reject(ctx context.Context, r wait.Record, cause error) (*cloudevents.Event, error) {
	message := cause.Error()
	var e *trading.Error
	if errors.As(cause, &e) && e.Detail != "" {
		message = e.Detail
	}
	res, err := f.waits.Resolve(ctx, r.Header.JobID, wait.End{Code: job.Rejected, Message: message, Via: event.ViaSubmit})
	if err != nil {
		return nil, err
	}
	if !res.Won {
		return nil, nil
	}
	out, err := res.Record.Event(ctx)
	if err != nil {
		return nil, fmt.Errorf("reject job %s: %w", r.Header.JobID, err)
	}
	return &out, nil
}

// pick chooses among the sweeps that the API has for one job: the one that is
// furthest on. Known duplicates are excluded.
func pick(found []trading.Job, dropped []string) (trading.Job, bool) {
	rank := map[trading.Status]int{trading.Completed: 5, trading.Running: 4, trading.Pending: 3, trading.Failed: 2, trading.Cancelled: 1}
	var best trading.Job
	for _, j := range found {
		if !slices.Contains(dropped, j.ID) && (best.ID == "" || rank[j.Status] > rank[best.Status]) {
			best = j
		}
	}
	return best, best.ID != ""
}
