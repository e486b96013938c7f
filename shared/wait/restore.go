package wait

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zixly/sweepline/shared/job"
)

var (
	restoreScript = step("restarts", "restore")
	refusedScript = clocked("refused")
)

// ErrUnfit is wrapped for a job that no record can be made of, however often it is
// tried.
var ErrUnfit = errors.New("no record can be made of the job")

// Lost is what is known of a job whose record Redis has lost.
type Lost struct {
	Header job.Header
	// TradingJobID and StartedAt are the sweep that the API accepted last; empty
	// for a job that was not submitted, as far as is known.
	TradingJobID string
	StartedAt    time.Time
	// Submissions counts the sweeps that the API took for the job.
	Submissions int
}

// Restore registers the wait of a job anew. One with a sweep waits for it, holds
// a slot even above the limit, since the API counts it too, and is polled at
// once; any other is queued at its old place, and its attempt looks for its
// sweep at the API before it submits. Deadlines run from the times in l, not from
// now: a job whose deadline passed while Redis was unavailable times out.
//
// It is false, and nothing happens, where there is a record.
func (w *Waits) Restore(ctx context.Context, l Lost) (Record, bool, error) {
	h := l.Header
	id, ok := pack(h.JobID)
	if !ok {
		return Record{}, false, fmt.Errorf("%w: restore job: %q is not a job id", ErrUnfit, h.JobID)
	}
	header, err := encodeHeader(h)
	if err != nil {
		return Record{}, false, fmt.Errorf("%w: restore job %s: %w", ErrUnfit, h.JobID, err)
	}
	tradingJob, started := "", int64(0)
	if l.TradingJobID != "" && !l.StartedAt.IsZero() {
		tradingJob, started = packTradingID(l.TradingJobID), l.StartedAt.UnixMilli()
	}
	outcome, r, err := w.step(ctx, "restore", restoreScript, h.JobID, id,
		header, encodeTrace(ctx), position(h, id), h.CreatedAt.UnixMilli(), w.cfg.QueueTimeout.Milliseconds(),
		tradingJob, started, max(l.Submissions-1, 0), w.cfg.CallbackTimeout.Milliseconds())
	return r, outcome == 1, err
}

// MarkRefused records that the broker refused the event of an accepted job. The record
// stays, so that the same key returns the same job, and Lookup returns it with
// EventRefused; the next Accept clears the mark.
func (w *Waits) MarkRefused(ctx context.Context, jobID string) error {
	id, ok := pack(jobID)
	if !ok {
		return nil
	}
	_, err := w.flag(ctx, "mark refused", refusedScript, jobID, id)
	return err
}

// Time is the time of Redis, by which records are written.
func (w *Waits) Time(ctx context.Context) (time.Time, error) {
	if w.clock != nil {
		return w.clock(), nil
	}
	at, err := w.redis.Time(ctx).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("read redis time: %w", err)
	}
	return at, nil
}
