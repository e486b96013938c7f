package status

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

// conflict is the error of an act that the job's state does not allow.
type conflict string

func (c conflict) Error() string { return string(c) }

func (f *Function) cancelJob(w http.ResponseWriter, r *http.Request) {
	j, err := f.cancel(r.Context(), r.PathValue("id"))
	if err != nil {
		answerAct(r.Context(), w, err)
		return
	}
	function.WriteJSON(w, http.StatusAccepted, map[string]any{
		"job_id": j.JobID, "status": j.Status, "message": "The job is cancelled",
	})
}

// cancel ends a job's wait, which nothing can undo. What follows from it is
// the supervisor's: it stops what runs and sends sweep.failed.
func (f *Function) cancel(ctx context.Context, id string) (found, error) {
	j, err := f.find(ctx, id)
	if err != nil {
		return j, err
	}
	if j.Status.Terminal() {
		return j, conflict("the job has ended already")
	}
	_, err = f.Cancel.Cancel(ctx, id)
	if errors.Is(err, wait.ErrUnknown) && f.Lost != nil {
		// Open as it is, its record went with a Redis that came back empty.
		if _, err := f.Lost.Find(ctx, id); err != nil && !errors.Is(err, jobstore.ErrNotFound) {
			return j, fmt.Errorf("cancel job %s: %w", id, err)
		}
		_, err = f.Cancel.Cancel(ctx, id)
	}
	switch {
	case errors.Is(err, wait.ErrUnknown):
		return j, conflict("the job has nothing left to cancel")
	case err != nil:
		return j, fmt.Errorf("cancel job %s: %w", id, err)
	}
	if j, err = f.find(ctx, id); err != nil {
		return j, err
	}
	if j.ErrorCode != job.Cancelled { // another end came first
		return j, conflict("the job has ended already")
	}
	slog.InfoContext(ctx, "Job cancelled by its owner", "job_id", id, "tenant_id", j.TenantID)
	return j, nil
}

func (f *Function) retryJob(w http.ResponseWriter, r *http.Request) {
	var problems job.Invalid
	key := enqueue.HeaderKey(r.Header, &problems)
	if len(problems) > 0 {
		answerAct(r.Context(), w, problems)
		return
	}
	got, err := f.retry(r.Context(), r.PathValue("id"), key)
	if err != nil {
		answerAct(r.Context(), w, err)
		return
	}
	if got.Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Location", "/webhook/jobs/"+got.Header.JobID)
	function.WriteJSON(w, http.StatusAccepted, map[string]any{
		"job_id": got.Header.JobID, "status": job.Queued, "message": "The sweep is queued again",
		"retry_of": got.Header.RetryOf, "created_at": got.Header.CreatedAt,
	})
}

// retry makes a new job of a failed one. With a key, asking twice makes one.
func (f *Function) retry(ctx context.Context, id, key string) (enqueue.Accepted, error) {
	j, err := f.find(ctx, id)
	if err != nil {
		return enqueue.Accepted{}, err
	}
	if j.Status != job.Failed {
		return enqueue.Accepted{}, conflict("only a failed job can be retried")
	}
	if len(key) > 2*enqueue.MaxKey { // the page's own is short
		return enqueue.Accepted{}, job.Invalid{{Field: "key", Message: "is too long"}}
	}
	if key != "" {
		key = "retry\n" + id + "\n" + key // no header holds a newline: apart from receive's keys
	}
	ctx, cancel := context.WithTimeout(telemetry.Start(ctx), 8*time.Second)
	defer cancel()
	got, err := f.Enqueuer.Enqueue(ctx, enqueue.Request{Tenant: auth.FromContext(ctx), Key: key, Sweep: j.Parameters, RetryOf: id})
	if err != nil {
		return got, fmt.Errorf("retry job %s: %w", id, err)
	}
	h := got.Header
	slog.InfoContext(ctx, "Job queued", "job_id", h.JobID, "job_type", h.JobType, "tenant_id", h.TenantID,
		"ticker", h.Parameters.Ticker, "status", string(job.Queued), "retry_of", id)
	return got, nil
}

func answerAct(ctx context.Context, w http.ResponseWriter, err error) {
	var no conflict
	var invalid job.Invalid
	switch {
	case errors.Is(err, errNoJob):
		answerMissing(w, err)
	case errors.As(err, &no):
		function.WriteError(w, http.StatusConflict, function.CodeConflict, no.Error())
	case errors.As(err, &invalid):
		function.WriteError(w, http.StatusBadRequest, function.CodeInvalid, "the request is not valid", invalid...)
	case errors.Is(err, enqueue.ErrConflict):
		function.WriteError(w, http.StatusUnprocessableEntity, function.CodeKeyReused, "the idempotency key was used before")
	default:
		slog.WarnContext(ctx, "Act not done", "error", err)
		function.WriteUnavailable(w, err)
	}
}
