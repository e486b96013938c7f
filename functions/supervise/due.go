package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/wait"
)

// tend leases the waits that are due and need no call to the API, and does what
// each needs. It returns when to come again: at once where there was more than it
// took.
func (f *Function) handleDue(ctx context.Context) (time.Duration, error) {
	due, err := f.waits.Due(ctx, f.cfg.Batch, f.cfg.Lease)
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	free := make(chan struct{}, f.cfg.Parallel)
	for _, r := range due {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			ctx := r.Trace(ctx)
			if err := f.handleWait(ctx, r); err != nil && ctx.Err() == nil {
				// It comes up again when its lease ends.
				slog.WarnContext(ctx, "Wait not tended", "job_id", r.Header.JobID, "state", string(r.State), "error", err)
			}
		})
	}
	wg.Wait()
	if len(due) >= f.cfg.Batch {
		return 0, nil
	}
	return f.cfg.Tick, nil
}

// look does what a due wait needs.
func (f *Function) handleWait(ctx context.Context, r wait.Record) error {
	switch {
	case r.State.Ended():
		return f.waits.Conclude(ctx, r, f.sink)
	case r.State == wait.Submitting:
		return f.reclaim(ctx, r)
	case r.Expired():
		return f.end(ctx, r, wait.End{
			Code: job.TimedOut, Via: event.ViaDeadline, Message: f.timeoutMessage(r),
		})
	default:
		return f.readmit(ctx, r)
	}
}

// overdue says why a parked job has timed out.
func (f *Function) timeoutMessage(r wait.Record) string {
	if r.Uncertain && r.Attempt > 0 {
		return "the trading API did not tell in time whether it has the sweep"
	}
	return fmt.Sprintf("not submitted within %s", f.waits.Config().QueueTimeout)
}

// reclaim takes a wait over from an attempt at submitting that has died.
func (f *Function) reclaim(ctx context.Context, r wait.Record) error {
	took, err := f.waits.Reclaim(ctx, r)
	if err != nil || !took {
		return err
	}
	slog.WarnContext(ctx, "Submission taken over", "job_id", r.Header.JobID, "attempt", r.Attempt)
	f.calls.signal()
	return nil
}

// remind tells once more of a turn that nobody has taken up: by the same event,
// which the broker drops if it still has it.
func (f *Function) readmit(ctx context.Context, r wait.Record) error {
	r, open, err := f.waits.CheckAdmission(ctx, r)
	if err != nil || !open {
		return err
	}
	e, err := r.AdmittedEvent(ctx)
	if err != nil {
		return fmt.Errorf("admit job %s: %w", r.Header.JobID, err)
	}
	return f.sink.Send(ctx, e)
}

// end resolves a wait and tells of it. A sweep that is to be cancelled for it is
// dealt a call next.
func (f *Function) end(ctx context.Context, r wait.Record, end wait.End) error {
	end.AdmitNext = true
	res, err := f.waits.Resolve(ctx, r.Header.JobID, end)
	if err != nil || !res.Won {
		return err
	}
	return f.waits.Announce(ctx, res, f.sink)
}
