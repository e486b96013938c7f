package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
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
	by, limit, err := jobs.ParseLetterFilter(r.URL.Query(), jobs.MaxDeadLetters)
	if err != nil {
		jobs.AnswerBadQuery(w, err)
		return
	}
	own, next, err := f.jobs.OwnDeadLetters(r.Context(), by, cmp.Or(limit, defaultDeadLetters), r.URL.Query().Get("cursor"))
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
		slog.WarnContext(r.Context(), "listing dead letters failed", "error", err)
		function.WriteUnavailable(w, err)
		return
	}
	function.WriteJSON(w, http.StatusOK, struct {
		Letters []jobs.DeadLetter `json:"dead_letters"`
		Next    string            `json:"next_cursor,omitempty"`
	}{own, next})
}

// listCauses answers with the dead letters grouped by what they failed of.
func (f *Function) listCauses(w http.ResponseWriter, r *http.Request) {
	by, _, err := jobs.ParseLetterFilter(url.Values{"trigger": r.URL.Query()["trigger"]}, jobs.MaxDeadLetters)
	if err != nil {
		jobs.AnswerBadQuery(w, err)
		return
	}
	found, err := f.jobs.Causes(r.Context(), by.Trigger)
	if err != nil {
		answerAct(r.Context(), w, err)
		return
	}
	function.WriteJSON(w, http.StatusOK, found)
}

// actOnLetters redrives or discards the dead letters that the query finds, or that the
// body names.
func (f *Function) actOnLetters(act jobs.LetterAct) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ids, ok := readIDs(w, r)
		if !ok {
			return
		}
		v, err := function.StrictQuery(r)
		if err != nil {
			jobs.AnswerBadQuery(w, err)
			return
		}
		b, err := jobs.ParseBulkLetters(act, v, ids)
		if err != nil {
			jobs.AnswerBadQuery(w, err)
			return
		}
		got, err := f.jobs.ManyLetters(r.Context(), b)
		if err == nil && !got.Some() {
			err = got.Err
		}
		var invalid job.Invalid
		switch {
		case errors.As(err, &invalid):
			jobs.AnswerBadQuery(w, err)
		case err != nil:
			answerAct(r.Context(), w, err)
		default:
			if got.RetryAfter > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(got.RetryAfter))
			}
			function.WriteJSON(w, http.StatusOK, got)
		}
	}
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
		function.WriteNotFound(w, "dead letter")
	case err != nil:
		slog.WarnContext(r.Context(), "handling dead letter failed", "dead_letter", id, "error", err)
		function.WriteUnavailable(w, err)
	case ended != "" && status == http.StatusAccepted:
		function.WriteJSON(w, status, map[string]string{"id": id, "job_status": string(ended),
			"message": done + ", which changes nothing: its job has ended as " + string(ended) + ". To run the sweep again, retry the job"})
	default:
		function.WriteJSON(w, status, map[string]string{"id": id, "message": done})
	}
}
