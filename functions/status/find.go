package status

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/serve"
	"github.com/zixly/sweepline/shared/tenant"
	"github.com/zixly/sweepline/shared/wait"
)

// ledgerPatience is how long one look into the ledger may keep a reader
// waiting before the wait record has to do.
const ledgerPatience = 2 * time.Second

// errNoJob: the tenant has no such job, as far as all stores say.
var errNoJob = errors.New("no such job")

// found is a job as all that is known of it tells.
type found struct {
	job.Job
	// Settled says that the end is written in the ledger: nothing will change.
	Settled bool
	// Ending says that the wait record knows an end that the ledger does not.
	Ending bool
	// Place is the place in the line of those that wait for a free slot, from
	// 1; 0 for a job that does not stand in it.
	Place int
}

// find reads a job from the ledger and, while it has not ended there, adds
// what its wait record knows. The ledger may lag or be gone: then the record
// alone must do. A job of another tenant is errNoJob; any other error means
// that it cannot be told whether there is such a job.
func (f *Function) find(ctx context.Context, id string) (found, error) {
	if !job.ValidID(id) {
		return found{}, errNoJob
	}
	owner := tenant.FromContext(ctx)
	ledgerCtx, cancel := context.WithTimeout(ctx, ledgerPatience)
	j, ledgerErr := f.Jobs.Job(ledgerCtx, owner, id)
	cancel()
	if ledgerErr == nil && j.Status.Terminal() {
		return found{Job: j, Settled: true}, nil
	}
	if ledgerErr != nil && !errors.Is(ledgerErr, ledger.ErrNotFound) {
		slog.WarnContext(ctx, "Ledger does not answer", "job_id", id, "error", ledgerErr)
	}
	rec, waitErr := f.Waits.Get(ctx, id)
	known := waitErr == nil && rec.Header.TenantID == owner
	switch {
	case ledgerErr == nil && known:
		return merge(j, rec), nil
	case ledgerErr == nil:
		return found{Job: j}, nil
	case known:
		return merge(jobOf(rec.Header), rec), nil
	case waitErr != nil && !errors.Is(waitErr, wait.ErrUnknown):
		return found{}, fmt.Errorf("read wait record: %w", waitErr)
	case errors.Is(ledgerErr, ledger.ErrNotFound), waitErr == nil: // nobody's, or somebody else's
		return found{}, errNoJob
	default:
		return found{}, fmt.Errorf("read ledger: %w", ledgerErr)
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
		serve.WriteError(w, http.StatusNotFound, serve.CodeNotFound, "no such job")
		return
	}
	serve.WriteUnavailable(w, err)
}
