package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// finish does the chores of an ended wait: those that whoever ended it did not
// get to, and cancelling the sweep, which is nobody else's.
func (f *Function) finish(ctx context.Context, r wait.Record) error {
	told := f.waits.Conclude(ctx, r, f.sink)
	if !r.Chores.Has(wait.ChoreCancel) {
		return told
	}
	if err := f.cancel(ctx, r); err != nil {
		if f.waits.Now().Before(r.EndedAt.Add(f.cfg.CancelPatience)) {
			return errors.Join(told, err)
		}
		slog.WarnContext(ctx, "Sweep left to itself", "job_id", r.Header.JobID, "error", err)
	}
	// Only now is there room for another sweep at the API.
	if err := f.waits.FreeSlot(ctx, r.Header.JobID); err != nil {
		return errors.Join(told, err)
	}
	return errors.Join(told, f.waits.Done(ctx, r.Header.JobID, wait.ChoreCancel+wait.ChoreSlot))
}

// cancel stops the sweep at the API. A job that ended while it was being
// submitted may have a sweep whose id nobody has written down.
func (f *Function) cancel(ctx context.Context, r wait.Record) error {
	if r.TradingJobID != "" {
		return f.cancelOne(ctx, r.TradingJobID)
	}
	if r.LeaseUntil.After(f.waits.Now()) {
		return fmt.Errorf("job %s is still being submitted", r.Header.JobID)
	}
	if err := f.spend(ctx); err != nil {
		return err
	}
	found, err := f.api.Find(ctx, r.Header.JobID)
	if trading.Permanent(err) {
		return nil // an API that lists nothing can't tell
	}
	if err != nil {
		return fmt.Errorf("look for sweep of job %s: %w", r.Header.JobID, err)
	}
	for _, j := range found {
		if !j.Status.Ended() {
			err = errors.Join(err, f.cancelOne(ctx, j.ID))
		}
	}
	return err
}

func (f *Function) cancelOne(ctx context.Context, id string) error {
	if err := f.spend(ctx); err != nil {
		return err
	}
	err := f.api.Cancel(ctx, id)
	if err == nil || trading.NotFound(err) {
		return nil
	}
	return fmt.Errorf("cancel sweep %s: %w", id, err)
}

// spend takes a call from the budget, or is an error.
func (f *Function) spend(ctx context.Context) error {
	pause, err := f.waits.Allow(ctx, wait.Urgent)
	if err == nil && pause > 0 {
		err = fmt.Errorf("the budget of calls is used up for %s", pause)
	}
	return err
}
