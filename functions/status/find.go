package status

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/wait"
)

// ledgerPatience is how long one look into the job store may keep a reader
// waiting before the wait record has to do.
const jobStorePatience = 2 * time.Second

// errNoJob: the tenant has no such job, as far as all stores say.
var errNoJob = errors.New("no such job")

// found is a job as all that is known of it tells.
type found struct {
	job.Job
	// Settled says that the end is written in the job store: nothing will change.
	Settled bool
	// Ending says that the wait record knows an end that the job store does not.
	Ending bool
	// Place is the place in the line of those that wait for a free slot, from
	// 1; 0 for a job that does not stand in it.
	Place int
}

// find reads a job from the job store and, while it has not ended there, adds
// what its wait record knows. The job store may lag or be gone: then the record
// alone must do. A job of another tenant is errNoJob; any other error means
// that it cannot be told whether there is such a job.
func (f *Function) find(ctx context.Context, id string) (found, error) {
	if !job.ValidID(id) {
		return found{}, errNoJob
	}
	owner := auth.FromContext(ctx)
	storeCtx, cancel := context.WithTimeout(ctx, jobStorePatience)
	j, storeErr := f.Jobs.Job(storeCtx, owner, id)
	cancel()
	if storeErr == nil && j.Status.Terminal() {
		return found{Job: j, Settled: true}, nil
	}
	if storeErr != nil && !errors.Is(storeErr, jobstore.ErrNotFound) {
		slog.WarnContext(ctx, "JobStore does not answer", "job_id", id, "error", storeErr)
	}
	rec, waitErr := f.Waits.Get(ctx, id)
	known := waitErr == nil && rec.Header.TenantID == owner
	switch {
	case storeErr == nil && known:
		return merge(j, rec), nil
	case storeErr == nil:
		return found{Job: j}, nil
	case known:
		return merge(jobOf(rec.Header), rec), nil
	case waitErr != nil && !errors.Is(waitErr, wait.ErrUnknown):
		return found{}, fmt.Errorf("read wait record: %w", waitErr)
	case errors.Is(storeErr, jobstore.ErrNotFound), waitErr == nil: // nobody's, or somebody else's
		return found{}, errNoJob
	default:
		return found{}, fmt.Errorf("read job store: %w", storeErr)
	}
}

// jobOf is a job of which nothing is known but that it was taken in.
func jobOf(h job.Header) job.Job {
	return job.Job{
		JobID: h.JobID, TenantID: h.TenantID, JobType: h.JobType, Status: job.Queued, Ticker: h.Parameters.Ticker,
		Parameters: h.Parameters, RetryOf: h.RetryOf, CreatedAt: h.CreatedAt, Results: []job.Row{},
	}
}

// merge moves j forward by its wait record, never back. A sweep whose end is
// known but not stored still runs: its results are on their way, and storing
// them may yet fail.
func merge(j job.Job, rec wait.Record) found {
	out := found{Job: j, Place: rec.Place, Ending: rec.JobState().Terminal()}
	switch rec.JobState() {
	case job.Failed:
		out.Status, out.ErrorCode, out.ErrorMessage = job.Failed, rec.ErrorCode, rec.ErrorMessage
	case job.Running, job.Completed:
		out.Status = job.Running
	}
	out.Progress = max(j.Progress, rec.Progress)
	if out.TradingJobID == "" {
		out.TradingJobID = rec.TradingJobID
	}
	if out.SweepRunID == "" {
		out.SweepRunID = rec.SweepRunID
	}
	if out.StartedAt == nil && !rec.StartedAt.IsZero() {
		at := rec.StartedAt.UTC()
		out.StartedAt = &at
	}
	return out
}

// answerMissing answers for a job that cannot be shown.
func answerMissing(w http.ResponseWriter, err error) {
	if errors.Is(err, errNoJob) {
		function.WriteError(w, http.StatusNotFound, function.CodeNotFound, "no such job")
		return
	}
	function.WriteUnavailable(w, err)
}
