package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// cancelRetry is the delay before a failed cancel is retried.
const cancelRetry = 15 * time.Second

// cancel cancels the sweep of a wait that has ended otherwise. Only then its slot is
// free.
func (f *Function) cancel(ctx context.Context, c wait.Call) error {
	r := c.Record
	err := f.stopSweep(ctx, &c)
	if err != nil && r.At.Before(r.EndedAt.Add(f.cfg.CancelTimeout)) {
		slog.WarnContext(ctx, "cancel sweep failed, retrying", "job_id", r.Header.JobID, "error", err)
		_, err = f.waits.Reschedule(ctx, r, max(cancelRetry, trading.RetryAfter(err)), report(err))
		return err
	}
	if err != nil {
		slog.WarnContext(ctx, "cancel sweep failed, giving up", "job_id", r.Header.JobID, "error", err)
	}
	return f.waits.Done(ctx, r, wait.ActionCancel)
}

// stopSweep stops the sweep at the API. A job that ended while it was being
// submitted may have a sweep whose id is not recorded.
func (f *Function) stopSweep(ctx context.Context, c *wait.Call) error {
	r := c.Record
	if r.TradingJobID != "" {
		return f.cancelOne(trading.PaidBy(ctx, &c.Calls), r.TradingJobID)
	}
	found, err := f.api.Find(trading.PaidBy(ctx, &c.Calls), r.Header.JobID, r.Header.CreatedAt)
	if trading.Permanent(err) {
		return nil // an API without a list cannot find it
	}
	if err != nil {
		return fmt.Errorf("find sweep of job %s: %w", r.Header.JobID, err)
	}
	for _, j := range found {
		if !j.Status.Ended() {
			err = errors.Join(err, f.cancelOne(trading.PaidBy(ctx, &c.Calls), j.ID))
		}
	}
	return err
}

func (f *Function) cancelOne(ctx context.Context, id string) error {
	err := f.api.Cancel(ctx, id)
	if err == nil || trading.NotFound(err) {
		return nil
	}
	return fmt.Errorf("cancel sweep %s: %w", id, err)
}

// drop cancels a duplicate sweep. The job's own sweep continues.
func (f *Function) drop(ctx context.Context, c wait.Call) error {
	err := f.cancelOne(trading.PaidBy(ctx, &c.Calls), c.Duplicate)
	if err != nil && c.Record.At.Before(c.Since.Add(f.cfg.CancelTimeout)) {
		slog.WarnContext(ctx, "cancel sweep failed, retrying", "job_id", c.Record.Header.JobID, "error", err)
		return f.waits.RescheduleDuplicate(ctx, c, max(cancelRetry, trading.RetryAfter(err)), report(err))
	}
	if err != nil {
		slog.WarnContext(ctx, "cancel sweep failed, giving up", "job_id", c.Record.Header.JobID, "error", err)
	}
	return f.waits.Dropped(ctx, c)
}
