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

// tend leases the waits that are due and does what each needs. It returns when
// to come again: at once where there was more than it took.
func (f *Function) tend(ctx context.Context) (time.Duration, error) {
	due, more, err := f.waits.Due(ctx, f.cfg.Batch, f.cfg.Lease)
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
			if err := f.look(ctx, r); err != nil && ctx.Err() == nil {
				// It comes up again when its lease ends.
				slog.WarnContext(ctx, "Wait not tended", "job_id", r.Header.JobID, "state", string(r.State), "error", err)
			}
		})
	}
	wg.Wait()
	if more {
		return 0, nil
	}
	return f.cfg.Tick, nil
}

// look does what a due wait needs.
func (f *Function) look(ctx context.Context, r wait.Record) error {
	switch {
	case r.State.Ended():
		return f.finish(ctx, r)
	case r.State == wait.Waiting:
		return f.poll(ctx, r)
	case r.State == wait.Submitting:
		return f.reclaim(ctx, r)
	default:
		return f.revive(ctx, r)
	}
}

// reclaim takes a wait over from an attempt at submitting that has died.
func (f *Function) reclaim(ctx context.Context, r wait.Record) error {
	if r.LeaseUntil.After(f.waits.Now()) {
		_, err := f.waits.Schedule(ctx, r, r.LeaseUntil)
		return err
	}
	back, ok, err := f.waits.Reclaim(ctx, r)
	if err != nil || !ok {
		return err
	}
	slog.WarnContext(ctx, "Submission taken over", "job_id", r.Header.JobID, "attempt", r.Attempt)
	return f.revive(ctx, back)
}

// revive gives a parked wait its turn, or puts it in line, or ends it where it
// has been there too long.
func (f *Function) revive(ctx context.Context, r wait.Record) error {
	if !r.Deadline.IsZero() && !f.waits.Now().Before(r.Deadline) {
		return f.end(ctx, r, wait.End{
			Code: job.TimedOut, Via: event.ViaDeadline,
			Message: fmt.Sprintf("not submitted within %s", f.waits.Config().QueueTimeout),
		})
	}
	got, err := f.waits.Revive(ctx, r)
	if err != nil || !got {
		return err
	}
	return f.grant(ctx, r.Header.JobID)
}

// end resolves a wait and does at once what follows from it.
func (f *Function) end(ctx context.Context, r wait.Record, end wait.End) error {
	res, err := f.waits.Resolve(ctx, r.Header.JobID, end)
	if err != nil || !res.Won {
		return err
	}
	return f.finish(ctx, res.Record)
}
