package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"strings"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/quota"
)

// ResultPage is a page of rows as answers show it.
type ResultPage struct {
	JobID string `json:"job_id"`
	// Status says whether rows may be added: not to a job that has ended.
	Status job.State `json:"status"`
	// Total counts the rows that meet the conditions, on all pages.
	Total  int    `json:"total"`
	Offset int    `json:"offset"`
	Sort   string `json:"sort"`
	Dir    string `json:"dir"`
	// Results is never null.
	Results []job.Row `json:"results"`
}

// getResults answers with rows as JSON or CSV.
func (s *Service) getResults(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	form, err := formOf(r)
	if form == asCSV {
		s.getResultsCSV(w, r)
		return
	}
	q, problems := ParseResults(r.URL.Query())
	if err = joined(err, problems); err != nil {
		AnswerBadQuery(w, err)
		return
	}
	j, ok := s.ofResults(w, r, q, asJSON)
	if !ok {
		return
	}
	page := ResultPage{JobID: j.JobID, Status: j.Status, Offset: q.Offset, Sort: q.By, Dir: "desc"}
	if q.Ascending {
		page.Dir = "asc"
	}
	if page.Results, page.Total, err = s.CountedRows(r.Context(), j.Job, q); err != nil {
		answerUnread(w, r, err)
		return
	}
	for i := range page.Results {
		page.Results[i].Synthetic = j.MadeUp()
	}
	function.WriteJSON(w, http.StatusOK, page)
}

// CountedRows reads a page of a job's rows and how many there are on all pages.
func (s *Service) CountedRows(ctx context.Context, j job.Job, q jobstore.RowQuery) ([]job.Row, int, error) {
	release, err := s.takeRows(ctx, j)
	if err != nil {
		return nil, 0, err
	}
	defer release()
	rows, err := s.Store.Rows(ctx, j.TenantID, j.JobID, q)
	if err != nil {
		return nil, 0, err
	}
	limit, offset := q.Window()
	switch {
	case len(q.Where) == 0 && j.Status == job.Completed && j.Metrics != nil:
		return rows, j.Metrics.Combinations, nil
	case len(rows) < limit && (len(rows) > 0 || offset == 0): // the last page
		return rows, offset + len(rows), nil
	}
	total, err := s.Store.CountRows(ctx, j.TenantID, j.JobID, q)
	return rows, total, err
}

// ofResults finds the job whose rows are asked for. Where it returns false it has
// answered: that there is none, or that the client has the answer already.
func (s *Service) ofResults(w http.ResponseWriter, r *http.Request, q jobstore.RowQuery, form string) (Found, bool) {
	j, err := s.Find(r.Context(), r.PathValue("id"))
	if err != nil {
		AnswerMissing(w, err)
		return j, false
	}
	if !j.Settled { // there may be more in a moment
		return j, true
	}
	tag := resultTag(j.Job, q, form)
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "private, no-cache") // kept, and asked for again each time: who asks may change
	for _, by := range []string{"Authorization", "X-API-Key", "Cookie"} {
		h.Add("Vary", by)
	}
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return j, false
	}
	return j, true
}

// resultTag is the entity tag of rows that never change. It is weak: with and without
// compression the bytes differ.
func resultTag(j job.Job, q jobstore.RowQuery, form string) string {
	ended := ""
	if j.CompletedAt != nil {
		ended = j.CompletedAt.String()
	}
	text, err := json.Marshal([]any{j.JobID, j.Status, ended, form, q, resultColumns, j.Prices()})
	if err != nil {
		panic(err) // of texts and numbers
	}
	sum := sha256.Sum256(text)
	return `W/"` + hex.EncodeToString(sum[:16]) + `"`
}

// matches reports whether a client has what a tag names.
// Rule: RFC 9110, 13.1.2: tags are compared weakly.
func matches(lines []string, tag string) bool {
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}

// getResultsCSV writes rows as CSV as they are read: all of them where no limit is given.
func (s *Service) getResultsCSV(w http.ResponseWriter, r *http.Request) {
	q, problems := ParseResults(r.URL.Query())
	if problems != nil {
		AnswerBadQuery(w, problems)
		return
	}
	j, ok := s.ofResults(w, r, q, asCSV)
	if !ok {
		return
	}
	owner := auth.FromContext(r.Context())
	release, err := s.TakeRead(r.Context(), owner)
	if err != nil {
		answerUnread(w, r, err)
		return
	}
	defer release()
	next, stop := iter.Pull2(s.Store.Results(r.Context(), owner, j.JobID, q))
	defer stop()
	row, err, more := next() // before the header is out, trouble can still be a 503
	if err != nil {
		answerUnread(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "sweep-"+j.JobID+".csv"))
	out := csv.NewWriter(w)
	_ = out.Write(resultColumns)
	computedOn := provenance(j.Job)
	for ; more; row, err, more = next() {
		if err == nil {
			err = out.Write(record(row, computedOn))
		}
		if err != nil {
			slog.WarnContext(r.Context(), "sending results failed", "job_id", j.JobID, "error", err)
			panic(http.ErrAbortHandler) // the client must see that rows are missing
		}
	}
	out.Flush()
}

// answerUnread answers for rows that could not be read.
func answerUnread(w http.ResponseWriter, r *http.Request, err error) {
	for _, name := range []string{"ETag", "Vary"} { // of the rows, which these are not
		w.Header().Del(name)
	}
	if more, ok := errors.AsType[*quota.Exceeded](err); ok {
		more.Write(w)
		return
	}
	if r.Context().Err() != nil {
		return // the client is gone
	}
	slog.WarnContext(r.Context(), "reading results failed", "job_id", r.PathValue("id"), "error", err)
	function.WriteUnavailable(w, err)
}
