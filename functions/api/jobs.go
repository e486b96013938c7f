package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/quota"
	"github.com/zixly/sweepline/shared/rfc3339"
)

func (f *Function) getJob(w http.ResponseWriter, r *http.Request) {
	j, err := f.jobs.Find(r.Context(), r.PathValue("id"))
	if err != nil {
		jobs.AnswerMissing(w, err)
		return
	}
	found := []jobs.Found{j}
	f.jobs.TellRetries(r.Context(), found)
	function.WriteJSON(w, http.StatusOK, found[0])
}

func (f *Function) listJobs(w http.ResponseWriter, r *http.Request) {
	q, err := jobs.ParseQuery(r.URL.Query())
	if err != nil {
		jobs.AnswerBadQuery(w, err)
		return
	}
	page, err := f.jobs.List(r.Context(), q)
	full, isFull := errors.AsType[*quota.Exceeded](err)
	switch {
	case isFull:
		full.Write(w)
	case errors.Is(err, jobstore.ErrCursor):
		jobs.AnswerBadQuery(w, jobs.ErrBadCursor)
	case err != nil:
		slog.WarnContext(r.Context(), "listing jobs failed", "error", err)
		function.WriteUnavailable(w, err)
	default:
		body := struct {
			Jobs []jobs.Found `json:"jobs"`
			Next string       `json:"next_cursor,omitempty"`
		}{f.jobs.Live(r.Context(), page.Jobs), page.Next}
		f.jobs.TellRetries(r.Context(), body.Jobs)
		for i := range body.Jobs {
			if body.Jobs[i].Results == nil {
				body.Jobs[i].Results = []job.Row{}
			}
		}
		function.WriteJSON(w, http.StatusOK, body)
	}
}

func (f *Function) cancelJob(w http.ResponseWriter, r *http.Request) {
	j, err := f.jobs.Cancel(r.Context(), r.PathValue("id"))
	if err != nil {
		answerAct(r.Context(), w, err)
		return
	}
	function.WriteJSON(w, http.StatusAccepted, map[string]any{
		"job_id": j.JobID, "status": j.Status, "message": "The job is cancelled",
	})
}

func (f *Function) retryJob(w http.ResponseWriter, r *http.Request) {
	var problems job.Invalid
	key := enqueue.HeaderKey(r.Header, &problems)
	if len(problems) > 0 {
		answerAct(r.Context(), w, problems)
		return
	}
	got, err := f.jobs.Retry(r.Context(), r.PathValue("id"), key)
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
		"retry_of": got.Header.RetryOf, "created_at": rfc3339.Milli(got.Header.CreatedAt),
	})
}

func answerAct(ctx context.Context, w http.ResponseWriter, err error) {
	var no jobs.Conflict
	var invalid job.Invalid
	full, isFull := errors.AsType[*quota.Exceeded](err)
	switch {
	case isFull:
		full.Write(w)
	case errors.Is(err, jobs.ErrNoJob):
		jobs.AnswerMissing(w, err)
	case errors.As(err, &no):
		function.WriteError(w, http.StatusConflict, function.CodeConflict, no.Error())
	case errors.As(err, &invalid):
		function.WriteError(w, http.StatusBadRequest, function.CodeInvalid, "the request is not valid", invalid...)
	case errors.Is(err, enqueue.ErrConflict):
		function.WriteError(w, http.StatusUnprocessableEntity, function.CodeKeyReused, "the idempotency key was used before")
	default:
		slog.WarnContext(ctx, "job action failed", "error", err)
		function.WriteUnavailable(w, err)
	}
}
