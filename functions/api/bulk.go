package api

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/transport"
)

// maxIDs is the longest body that names jobs or dead letters, in bytes: jobs.MaxBulk of
// them, with room.
const maxIDs = 64 << 10

// actOnMany cancels or retries the jobs that the query finds, or that the body names.
func (f *Function) actOnMany(act jobs.Act) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ids, ok := readIDs(w, r)
		if !ok {
			return
		}
		v, err := function.StrictQuery(r, "status", "label")
		if err != nil {
			jobs.AnswerBadQuery(w, err)
			return
		}
		b, err := jobs.ParseBulk(act, v, ids)
		if err != nil {
			jobs.AnswerBadQuery(w, err)
			return
		}
		got, err := f.jobs.Many(r.Context(), b)
		switch {
		case errors.Is(err, jobstore.ErrCursor):
			jobs.AnswerBadQuery(w, jobs.ErrBadCursor)
		case err != nil:
			answerAct(r.Context(), w, err)
		case !got.Some(): // nothing was done, and the first error says why
			answerAct(r.Context(), w, got.Err)
		default:
			if got.RetryAfter > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(got.RetryAfter))
			}
			function.WriteJSON(w, http.StatusOK, got)
		}
	}
}

// readIDs reads a body {"ids": […]}; without a body there are none. Where there is
// something else it answers, and returns false.
func readIDs(w http.ResponseWriter, r *http.Request) (ids []string, ok bool) {
	text, err := transport.ReadBody(w, r, maxIDs)
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		function.WriteError(w, http.StatusRequestEntityTooLarge, function.CodeTooLarge, "the body is longer than "+strconv.Itoa(maxIDs)+" bytes")
		return nil, false
	}
	if err != nil || len(text) == 0 {
		if err != nil {
			function.WriteError(w, http.StatusBadRequest, function.CodeInvalid, "the body could not be read")
		}
		return nil, err == nil
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		function.WriteError(w, http.StatusUnsupportedMediaType, function.CodeMediaType, "Content-Type must be application/json")
		return nil, false
	}
	problem := func(message string) ([]string, bool) {
		function.WriteError(w, http.StatusBadRequest, function.CodeInvalid, "the request is not valid", job.Problem{Field: "ids", Message: message})
		return nil, false
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(text, &body) != nil || len(body) != 1 || body["ids"] == nil {
		return problem(`the body must be {"ids": ["…"]} and nothing else`)
	}
	if json.Unmarshal(body["ids"], &ids) != nil || len(ids) == 0 {
		return problem("must be a list of ids, not empty")
	}
	return ids, true
}
