package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/wait"
)

// atOnce is how many jobs are admitted, or slots checked, in one step.
const atOnce = 32

// slotLease is for how long, at least, a slot is not looked at again after its
// job was found to need it.
const slotLease = time.Minute

// admit gives every free slot to whoever is next, and frees slots whose jobs
// need them no more. It returns when to come again: when somebody's time to
// stay away ends.
func (f *Function) admit(ctx context.Context) (time.Duration, error) {
	again := f.cfg.Tick
	for {
		ids, at, err := f.waits.Admit(ctx, atOnce)
		if err != nil {
			return 0, err
		}
		f.each(ctx, ids, f.grant)
		if len(ids) < atOnce {
			if !at.IsZero() {
				again = at.Sub(f.waits.Now())
			}
			break
		}
	}
	stale, err := f.waits.StaleSlots(ctx, atOnce, f.cfg.Lease)
	if err != nil {
		return 0, err
	}
	f.each(ctx, stale, f.checkSlot)
	return max(again, time.Millisecond), f.metrics.gauge(ctx, f.waits)
}

// each calls do for all jobs at once and logs what went wrong: a lease brings
// the job up again.
func (f *Function) each(ctx context.Context, jobIDs []string, do func(context.Context, string) error) {
	var wg sync.WaitGroup
	for _, id := range jobIDs {
		wg.Go(func() {
			if err := do(ctx, id); err != nil && ctx.Err() == nil {
				slog.WarnContext(ctx, "Slot not tended", "job_id", id, "error", err)
			}
		})
	}
	wg.Wait()
}

// grant gives a parked job that has a slot its turn. Each time it is a new
// event: one that was taken up before its attempt died would be dropped as a
// repeat.
func (f *Function) grant(ctx context.Context, jobID string) error {
	r, ok, err := f.waits.Grant(ctx, jobID)
	if err != nil || !ok {
		return err
	}
	ctx = r.Trace(ctx)
	e, err := r.AdmittedEvent(ctx, f.waits.Now())
	if err != nil {
		return fmt.Errorf("admit job %s: %w", jobID, err)
	}
	if err := f.sink.Send(ctx, e); err != nil {
		return fmt.Errorf("admit job %s: %w", jobID, err)
	}
	r.TellTurn(ctx, f.waits)
	return nil
}

// checkSlot finds out whether the job still needs its slot. A parked one that
// has a slot did not get its turn: somebody died on the way to it.
func (f *Function) checkSlot(ctx context.Context, jobID string) error {
	r, err := f.waits.Get(ctx, jobID)
	switch {
	case errors.Is(err, wait.ErrUnknown):
		return f.waits.FreeSlot(ctx, jobID)
	case err != nil:
		return err
	case r.State == wait.Accepted, r.State.Ended() && !r.Chores.Has(wait.ChoreCancel):
		return f.waits.FreeSlot(ctx, jobID)
	case r.State == wait.Parked:
		_, err = f.waits.Schedule(ctx, r, f.waits.Now())
		return err
	}
	at := f.waits.Now().Add(slotLease)
	if r.Deadline.After(at) {
		at = r.Deadline // its end frees the slot; no need to look before
	}
	_, err = f.waits.Hold(ctx, jobID, at)
	return err
}
