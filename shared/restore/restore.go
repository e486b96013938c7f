// Package restore brings back what Redis has lost of a job, by what the job store
// knows of it. Redis may come back empty, or a second older; the job store may lag
// behind, but forgets nothing. The supervisor restores all jobs that it misses
// (functions/supervise/reconcile.go); whoever meets a job without a record
// before that, such as the callback of its sweep, restores the one.
package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

// JobStore is the part of jobstore.Survey that finds one job.
type JobStore interface {
	Lookup(ctx context.Context, jobIDs []string) ([]job.Job, error)
}

// Waits is the part of wait.Waits that takes a job back.
type Waits interface {
	Restore(ctx context.Context, l wait.Lost) (wait.Record, bool, error)
	Resolve(ctx context.Context, jobID string, e wait.End) (wait.Resolution, error)
	Conclude(ctx context.Context, r wait.Record, s wait.Sender) error
}

// Jobs restores jobs. It is safe for concurrent use, in any number of processes.
type Jobs struct {
	jobStore JobStore
	waits    Waits
	sink     wait.Sender
}

// New refuses missing dependencies and does no I/O.
func New(l JobStore, w Waits, s wait.Sender) (*Jobs, error) {
	if l == nil || w == nil || s == nil {
		return nil, errors.New("restore: job store, waits and sink are required")
	}
	return &Jobs{jobStore: l, waits: w, sink: s}, nil
}

// Find is for a job without a record. It returns the job as the job store knows it,
// whoever's it is, or jobstore.ErrNotFound; any other error means that it could
// not be told, and that asking again is worth it. A job that has not ended has a
// record when Find returns; one that has ended gets none.
//
// Whether there is a record must have been asked before: the job store learns of a
// job only after its record was made, and a record is never removed before the
// job has ended.
func (j *Jobs) Find(ctx context.Context, jobID string) (job.Job, error) {
	found, err := j.jobStore.Lookup(ctx, []string{jobID})
	switch {
	case err != nil:
		return job.Job{}, fmt.Errorf("find lost job %s: %w", jobID, err)
	case len(found) == 0:
		return job.Job{}, jobstore.ErrNotFound
	case found[0].Status.Terminal():
		return found[0], nil
	}
	_, err = j.Put(ctx, found[0])
	return found[0], err
}

// Put makes the record of a job that has not ended and has none. It is false
// where there is one by now.
//
// A sweep that the API took is waited for; where the job store knows its results,
// the wait ends by them and the event of that end is sent again. Any other job
// is submitted as soon as the API has been searched for its sweep.
func (j *Jobs) Put(ctx context.Context, open job.Job) (bool, error) {
	lost := wait.Lost{Header: open.Header(), TradingJobID: open.TradingJobID, Submissions: open.Attempts}
	if open.StartedAt != nil {
		lost.StartedAt = *open.StartedAt
	}
	// The job's trace went with its record.
	r, made, err := j.waits.Restore(telemetry.Start(ctx), lost)
	if err != nil || !made {
		return false, err
	}
	slog.WarnContext(r.Trace(ctx), "lost job restored", "job_id", open.JobID, "tenant_id", open.TenantID,
		"status", string(open.Status), "state", string(r.State))
	if open.SweepRunID == "" {
		return true, nil
	}
	res, err := j.waits.Resolve(ctx, open.JobID, wait.End{RunID: open.SweepRunID, TradingJobID: open.TradingJobID, Via: event.ViaJobStore})
	if err != nil {
		return true, err
	}
	if !res.Won {
		return true, nil
	}
	return true, j.waits.Conclude(ctx, res.Record, j.sink)
}
