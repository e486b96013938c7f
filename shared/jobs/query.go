package jobs

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// ParseQuery reads the filters of a list. Its error is a job.Invalid with all
// problems. Empty parameters do not count, as a form sends them.
func ParseQuery(v url.Values) (jobstore.Query, error) {
	q := jobstore.Query{Ticker: v.Get("ticker"), Text: v.Get("q"), Cursor: v.Get("cursor")}
	var problems job.Invalid
	bad := func(field, message string) { problems = append(problems, job.Problem{Field: field, Message: message}) }
	for _, text := range v["status"] {
		for word := range strings.SplitSeq(text, ",") {
			if word == "" {
				continue
			}
			s := job.State(strings.ToUpper(strings.TrimSpace(word)))
			if !s.Valid() {
				bad("status", "must be QUEUED, RUNNING, COMPLETED or FAILED")
				break
			}
			q.Status = append(q.Status, s)
		}
	}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > jobstore.MaxLimit {
			bad("limit", "must be 1 to "+strconv.Itoa(jobstore.MaxLimit))
		}
		q.Limit = n
	}
	for name, into := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if text := v.Get(name); text != "" {
			at, err := rfc3339.Parse(text)
			if err != nil {
				bad(name, "must be a time such as 2026-01-31T12:00:00Z")
			}
			*into = at
		}
	}
	if len(problems) > 0 {
		return q, problems
	}
	return q, nil
}
