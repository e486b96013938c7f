package wait

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/job"
)

var (
	restoreScript = load("restore")
	seatScript    = load("seat")
	callOffScript = load("calloff")
)

// Lost is what is known of a job whose record Redis has lost.
type Lost struct {
	Header job.Header
	// TradingJobID and StartedAt tell of the sweep that the API took last; empty
	// for a job that was not submitted, as far as is known.
	TradingJobID string
	StartedAt    time.Time
	// Submissions counts the sweeps that the API took for the job.
	Submissions int
}

// Restore registers the wait of a job anew. One with a sweep waits for it, holds
// a slot even above the limit, since the API counts it too, and is polled at
// once; any other is parked, due at once, and the next attempt looks for its
// sweep at the API before it submits. Deadlines run from the times in l, not
// from now: a job whose time was over while Redis was away ends timed out.
//
// It is false, and nothing happens, where there is a record.
func (w *Waits) Restore(ctx context.Context, l Lost) (Record, bool, error) {
	id, ok := pack(l.Header.JobID)
	if !ok {
		return Record{}, false, fmt.Errorf("restore job: %q is not a job id", l.Header.JobID)
	}
	header, err := encodeHeader(l.Header)
	if err != nil {
		return Record{}, false, fmt.Errorf("restore job %s: %w", l.Header.JobID, err)
	}
	atAPI := l.TradingJobID != "" && !l.StartedAt.IsZero()
	tradingJob, started := "", int64(0)
	if atAPI {
		tradingJob, started = packTradingID(l.TradingJobID), l.StartedAt.UnixMilli()
		if w.cfg.MaxConcurrent > 0 {
			// Before the record: a slot without one is found by its lease, a sweep
			// without a slot by nobody.
			if _, err := w.flag(ctx, "seat", seatScript, l.Header.JobID, []string{w.keys.slots()}, id, w.after(w.cfg.TurnTimeout)); err != nil {
				return Record{}, false, err
			}
		}
	}
	outcome, r, err := w.step(ctx, "restore", restoreScript, l.Header.JobID, id,
		header, encodeTrace(ctx), w.ms(), l.Header.CreatedAt.Add(w.cfg.QueueTimeout).UnixMilli(), w.turnsBefore(l.Header),
		tradingJob, started, max(l.Submissions-1, 0), w.keys.changes())
	return r, outcome == 1, err
}

// turnsBefore is a number that the job's turns have not reached, since no two
// were given within a second: the events of its next turns are new to a broker
// that has lost nothing.
func (w *Waits) turnsBefore(h job.Header) int64 {
	return max(int64(w.now().Sub(h.CreatedAt)/time.Second), 0)
}

// CallOff is for a job that was accepted and whose event the broker has refused.
// Its record stays, so that the same key gives the same job, but Lookup says
// that nobody waits for it; Accept takes that back.
func (w *Waits) CallOff(ctx context.Context, jobID string) error {
	id, ok := pack(jobID)
	if !ok {
		return nil
	}
	_, err := w.flag(ctx, "call off", callOffScript, jobID, w.keys.of(id)[:1])
	return err
}

// Lookup reads the records of many jobs in one round trip. Jobs without a
// record are not in the answer, and one whose record is unreadable is there
// without a State. Record.Place is not filled in.
func (w *Waits) Lookup(ctx context.Context, jobIDs []string) (map[string]Record, error) {
	cmds := make(map[string]*redis.MapStringStringCmd, len(jobIDs))
	p := w.redis.Pipeline()
	for _, jobID := range jobIDs {
		if id, ok := pack(jobID); ok {
			cmds[jobID] = p.HGetAll(ctx, w.keys.of(id)[0])
		}
	}
	if len(cmds) == 0 {
		return nil, nil
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, fmt.Errorf("look %d waits up: %w", len(cmds), err)
	}
	records := make(map[string]Record, len(cmds))
	for jobID, cmd := range cmds {
		if len(cmd.Val()) == 0 {
			continue
		}
		r, err := w.decodeMap(jobID, cmd.Val())
		if err != nil {
			slog.ErrorContext(ctx, "Wait record unreadable", "job_id", jobID, "error", err)
		}
		records[jobID] = r
	}
	return records, nil
}
