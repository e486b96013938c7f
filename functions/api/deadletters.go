package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/quota"
)

// defaultDeadLetters is how many are listed where nobody says.
const defaultDeadLetters = 100

func (f *Function) listDeadLetters(w http.ResponseWriter, r *http.Request) {
	limit := defaultDeadLetters
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > jobs.MaxDeadLetters {
			jobs.AnswerBadQuery(w, job.Invalid{{Field: "limit", Message: "must be 1 to " + strconv.Itoa(jobs.MaxDeadLetters)}})
			return
		}
		limit = n
	}
	q := broker.DeadLetterQuery{Trigger: r.URL.Query().Get("trigger"), Limit: limit}
	own, next, err := f.jobs.OwnDeadLetters(r.Context(), q, r.URL.Query().Get("cursor"))
	var invalid job.Invalid
	if errors.As(err, &invalid) {
		jobs.AnswerBadQuery(w, err)
		return
	}
	if full, ok := errors.AsType[*quota.Exceeded](err); ok {
		full.Write(w)
		return
	}
	if err != nil {
		slog.WarnContext(r.Context(), "Dead letters not listed", "error", err)
		function.WriteUnavailable(w, err)
		return
	}
	function.WriteJSON(w, http.StatusOK, struct {
		Letters []jobs.DeadLetter `json:"dead_letters"`
		Next    string            `json:"next_cursor,omitempty"`
	}{own, next})
}

func (f *Function) redrive(w http.ResponseWriter, r *http.Request) {
	f.onDeadLetter(w, r, jobs.Redriven, http.StatusAccepted, f.jobs.Redrive)
}

func (f *Function) discard(w http.ResponseWriter, r *http.Request) {
	f.onDeadLetter(w, r, jobs.Discarded, http.StatusOK, f.jobs.Discard)
}

func (f *Function) onDeadLetter(w http.ResponseWriter, r *http.Request, done string, status int, act func(ctx context.Context, id string) (job.State, error)) {
	id := r.PathValue("id")
	ended, err := act(r.Context(), id)
	switch {
	case errors.Is(err, broker.ErrNotFound):
		function.WriteError(w, http.StatusNotFound, function.CodeNotFound, "no such dead letter")
	case err != nil:
		slog.WarnContext(r.Context(), "Dead letter not handled", "dead_letter", id, "error", err)
		function.WriteUnavailable(w, err)
	case ended != "" && status == http.StatusAccepted:
		function.WriteJSON(w, status, map[string]string{"id": id, "job_status": string(ended),
			"message": done + ", which changes nothing: its job has ended as " + string(ended) + ". To run the sweep again, retry the job"})
	default:
		function.WriteJSON(w, status, map[string]string{"id": id, "message": done})
	}
}
