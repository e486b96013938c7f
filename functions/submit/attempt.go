package submit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// settlePatience bounds writing down how an attempt ended. It does not depend on
// the event's own time, which may be over by then.
const settlePatience = 10 * time.Second

// healthKept is for how long the API is taken for healthy after it said so: each
// question costs a call of those that it takes in a minute.
const healthKept = 5 * time.Second

// soonest is the first poll at the earliest: the API takes one a second a job.
const soonest = time.Second

// attempt calls the API, being the attempt in charge. look: the sweep may be
// there already.
func (f *Function) attempt(ctx context.Context, r wait.Record, look bool) (*cloudevents.Event, error) {
	call, stop := f.keepCharge(ctx, r)
	defer stop()
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience+settlePatience)
	defer cancel()

	// Without a healthy API there is no use in trying. Where it has no such
	// page the submission will tell.
	if f.waits.Now().UnixMilli() >= f.healthyUntil.Load() {
		if held, err := f.hold(call, settle, r, look); held {
			return nil, err
		}
		if err := f.api.Health(call); err != nil && !trading.Permanent(err) {
			return nil, f.setBack(settle, r, err, look)
		}
		f.healthyUntil.Store(f.waits.Now().Add(healthKept).UnixMilli())
	}
	if look {
		if held, err := f.hold(call, settle, r, true); held {
			return nil, err
		}
		found, err := f.api.Find(call, r.Header.JobID)
		if err != nil && !trading.Permanent(err) {
			return nil, f.setBack(settle, r, err, true)
		}
		if best, ok := pick(found); ok {
			// It may have ended by now, and its callback may be lost.
			return f.note(settle, r, trading.Submission{JobID: best.ID}, soonest)
		}
		look = false // or calls would go into looking alone where there are few
	}
	if held, err := f.hold(call, settle, r, look); held {
		return nil, err
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
	sub, err := f.api.Submit(call, r.Header.Parameters, callbackURL, headers)
	switch {
	case err == nil:
		f.report(settle, nil)
		return f.note(settle, r, sub, f.firstPoll(sub))
	case trading.Permanent(err):
		f.report(settle, nil)
		return f.reject(settle, r, err)
	default:
		return nil, f.setBack(settle, r, err, trading.Uncertain(err) && !f.absent(call, r, err))
	}
}

// hold takes one call from the budget. Where there is none left the attempt is
// put back until there will be, and held is true.
func (f *Function) hold(ctx, settle context.Context, r wait.Record, look bool) (held bool, err error) {
	pause, err := f.waits.Allow(ctx, wait.Urgent)
	if err != nil || pause == 0 {
		return err != nil, err
	}
	return true, f.waits.PutBack(settle, r, wait.Setback{Wait: pause, Uncertain: look})
}

// keepCharge prolongs the attempt's lease until stop is called. The context
// ends should the lease be lost: then another attempt may be calling.
func (f *Function) keepCharge(ctx context.Context, r wait.Record) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	lease := f.waits.Config().SubmitLease
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lease / 4)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			ours, err := f.waits.Extend(ctx, r)
			switch {
			case err == nil && ours:
				last = time.Now()
			case err == nil, time.Since(last) > lease*3/4:
				cancel()
				return
			}
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}

// absent asks, after an answer that leaves the sweep's fate open, whether the
// API has it. Only a clear no counts.
func (f *Function) absent(ctx context.Context, r wait.Record, cause error) bool {
	var e *trading.Error
	if !errors.As(cause, &e) || e.Status < http.StatusInternalServerError {
		return false // without an answer it may still be taking it
	}
	if pause, err := f.waits.Allow(ctx, wait.Urgent); err != nil || pause > 0 {
		return false
	}
	found, err := f.api.Find(ctx, r.Header.JobID)
	return err == nil && len(found) == 0
}

// setBack leaves the job QUEUED for a later attempt, and tells the others how
// the API is.
func (f *Function) setBack(ctx context.Context, r wait.Record, cause error, uncertain bool) error {
	f.healthyUntil.Store(0)
	f.report(ctx, cause)
	// The attempt itself counts: 1s, 2s, 4s, … for this job, however the
	// others fare.
	delay := min(time.Second<<min(r.Tries, 16), f.cfg.BackoffMax)
	var e *trading.Error
	if errors.As(cause, &e) {
		delay = max(delay, e.RetryAfter)
	}
	slog.WarnContext(ctx, "Job put back", "job_id", r.Header.JobID, "tenant_id", r.Header.TenantID,
		"delay_seconds", delay.Seconds(), "uncertain", uncertain, "error", cause)
	return f.waits.PutBack(ctx, r, wait.Setback{Wait: delay, Uncertain: uncertain})
}

// report passes on how the API is. That it did not get through is logged only:
// the attempt goes its way.
func (f *Function) report(ctx context.Context, cause error) {
	var retryAfter time.Duration
	var e *trading.Error
	if errors.As(cause, &e) {
		retryAfter = e.RetryAfter
	}
	if cause != nil && !trading.Unavailable(cause) {
		return // cut off by ourselves: says nothing of the API
	}
	if _, err := f.waits.Report(ctx, cause == nil, retryAfter); err != nil {
		slog.WarnContext(ctx, "API state not shared", "error", err)
	}
}

// note writes down that the API has the sweep. Should this fail, the event comes
// again and the sweep is found.
func (f *Function) note(ctx context.Context, r wait.Record, sub trading.Submission, first time.Duration) (*cloudevents.Event, error) {
	landing, now, err := f.waits.Note(ctx, r.Header.JobID, sub.JobID, sub.EstimatedDuration, first)
	if err != nil {
		return nil, err
	}
	if landing == wait.Extra {
		// Two attempts were at it at once, against all leases. One sweep is enough.
		slog.WarnContext(ctx, "Sweep submitted twice", "job_id", r.Header.JobID, "trading_job_id", sub.JobID)
		// Counted, but not held back: nobody else knows of it.
		_, _ = f.waits.Allow(ctx, wait.Urgent)
		if err := f.api.Cancel(ctx, sub.JobID); err != nil && !trading.NotFound(err) {
			slog.WarnContext(ctx, "Second sweep not cancelled", "job_id", r.Header.JobID, "error", err)
		}
		return nil, nil
	}
	h := now.Header
	slog.InfoContext(ctx, "Job started", "job_id", h.JobID, "job_type", h.JobType, "tenant_id", h.TenantID,
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
	return max(first, soonest)
}

// reject ends a job that the API will never take.
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
	if err := f.waits.FreeSlot(ctx, r.Header.JobID); err != nil {
		slog.WarnContext(ctx, "Slot not freed", "job_id", r.Header.JobID, "error", err) // a chore of the supervisor's now
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
// furthest on.
func pick(found []trading.Job) (trading.Job, bool) {
	rank := map[trading.Status]int{trading.Completed: 5, trading.Running: 4, trading.Pending: 3, trading.Failed: 2, trading.Cancelled: 1}
	var best trading.Job
	for _, j := range found {
		if best.ID == "" || rank[j.Status] > rank[best.Status] {
			best = j
		}
	}
	return best, best.ID != ""
}
