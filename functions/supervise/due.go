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

// handleDue leases the due waits that need no API call and handles each: it fails jobs that
// were queued for too long, takes back attempts at submitting that have died, and sends
// the events of ends. It runs in every supervisor, when woken and at the latest after
// SUPERVISE_TICK, and owns a wait for SUPERVISE_LEASE. It returns
// when to run again: at once if more than one batch was due.
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
				// It is due again when its lease ends.
				slog.WarnContext(ctx, "handling due wait failed", "job_id", r.Header.JobID, "state", string(r.State), "error", err)
			}
		})
	}
	wg.Wait()
	if len(due) >= f.cfg.Batch {
		return 0, nil
	}
	return f.cfg.Tick, nil
}

// handleWait performs the next step of a due wait.
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

// timeoutMessage says why a parked job has timed out.
func (f *Function) timeoutMessage(r wait.Record) string {
	if r.Uncertain && r.Attempt > 0 {
		return "the trading API did not confirm in time whether it has the sweep"
	}
	return fmt.Sprintf("not submitted within %s", f.waits.Config().QueueTimeout)
}

// reclaim requeues a wait whose submission attempt has lost its lease.
func (f *Function) reclaim(ctx context.Context, r wait.Record) error {
	took, err := f.waits.Reclaim(ctx, r)
	if err != nil || !took {
		return err
	}
	slog.WarnContext(ctx, "submission attempt lost its lease, job requeued", "job_id", r.Header.JobID, "attempt", r.Attempt)
	f.calls.signal()
	return nil
}

// readmitAfter is how long an admission is without effect until its event is sent again
// under an id of its own; then after twice that time, and so on. It is the longest time
// between two deliveries of an event whose subscriber is away.
const readmitAfter = 5 * time.Minute

// readmit sends the admission event again if submit has not started an attempt. At first
// it is the same event, which the broker drops as a duplicate. The broker may have lost
// the event and remember its id, as where the Trigger of submit was removed and came back:
// the job would keep its slot, and as the probe of an open breaker all other jobs out,
// until it times out in the queue.
func (f *Function) readmit(ctx context.Context, r wait.Record) error {
	r, open, err := f.waits.CheckAdmission(ctx, r)
	if err != nil || !open {
		return err
	}
	e, err := r.AdmittedEvent(ctx)
	if err != nil {
		return fmt.Errorf("admit job %s: %w", r.Header.JobID, err)
	}
	return f.sink.Send(ctx, event.Again(e, repetition(r.At.Sub(r.AdmittedAt), readmitAfter)))
}

// end resolves a wait and sends its events. If its sweep is to be cancelled, a call is
// granted for that next.
func (f *Function) end(ctx context.Context, r wait.Record, end wait.End) error {
	end.AdmitNext = true
	res, err := f.waits.Resolve(ctx, r.Header.JobID, end)
	if err != nil || !res.Won {
		return err
	}
	return f.waits.Announce(ctx, res, f.sink)
}
