package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/quota"
)

// onIDs acts on jobs by their ids.
func onIDs(t *testing.T, h http.Handler, path string, ids ...string) *httptest.ResponseRecorder {
	t.Helper()
	text, err := json.Marshal(map[string][]string{"ids": ids})
	require.NoError(t, err)
	return send(h, path, "application/json", string(text))
}

func send(h http.Handler, path, kind, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func outcomes(t *testing.T, r *httptest.ResponseRecorder) map[string]jobs.Outcome {
	t.Helper()
	require.Equal(t, 200, r.Code, r.Body)
	found := map[string]jobs.Outcome{}
	for _, one := range jobstest.Decode[jobs.BulkResult](t, r).Jobs {
		found[one.JobID] = one.Outcome
	}
	return found
}

func TestRetryMany(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	a, b, open, foreign := w.Stored("default", job.Failed), w.Stored("default", job.Failed), w.Recorded("default"), w.Stored("other", job.Failed)
	ids := []string{a.JobID, strings.ToUpper(b.JobID), open.JobID, foreign.JobID, a.JobID}
	want := map[string]jobs.Outcome{a.JobID: jobs.Matches, b.JobID: jobs.Matches, open.JobID: jobs.Refused, foreign.JobID: jobs.Missing}
	require.Equal(t, want, outcomes(t, onIDs(t, h, "/api/jobs/retry?dry_run=1", ids...)))
	require.Empty(t, w.Taken, "nothing is done")

	r := onIDs(t, h, "/api/jobs/retry", ids...)
	want[a.JobID], want[b.JobID] = jobs.Done, jobs.Done
	require.Equal(t, want, outcomes(t, r))
	got := jobstest.Decode[jobs.BulkResult](t, r)
	require.Equal(t, map[jobs.Outcome]int{jobs.Done: 2, jobs.Refused: 1, jobs.Missing: 1}, got.Counts)
	require.Equal(t, 4, *got.Total)
	require.Len(t, w.Taken, 2)
	for _, one := range got.Jobs {
		require.Equal(t, one.Outcome == jobs.Done, one.RetriedBy != "")
	}

	// The same again makes nothing new; a retry by itself still may.
	want[a.JobID], want[b.JobID] = jobs.Repeated, jobs.Repeated
	require.Equal(t, want, outcomes(t, onIDs(t, h, "/api/jobs/retry", ids...)))
	require.Equal(t, 202, jobstest.Call(h, "POST", "/api/jobs/"+a.JobID+"/retry", "Idempotency-Key", "once").Code)
	keys := map[string]bool{}
	for _, taken := range w.Taken {
		keys[taken.Key] = true
	}
	require.Len(t, keys, 3)
}

func TestCancelMany(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	a, done, ending := w.Recorded("default"), w.Stored("default", job.Completed), w.Recorded("default")
	w.Records[ending.JobID] = jobstest.Ended(ending)
	ids := []string{a.JobID, done.JobID, ending.JobID}
	require.Equal(t, map[string]jobs.Outcome{a.JobID: jobs.Matches, done.JobID: jobs.Refused, ending.JobID: jobs.Refused},
		outcomes(t, onIDs(t, h, "/api/jobs/cancel?dry_run=true", ids...)))
	require.Empty(t, w.Acts)
	for _, want := range []jobs.Outcome{jobs.Done, jobs.Repeated} {
		require.Equal(t, map[string]jobs.Outcome{a.JobID: want, done.JobID: jobs.Refused, ending.JobID: jobs.Refused},
			outcomes(t, onIDs(t, h, "/api/jobs/cancel", ids...)))
	}
	require.Equal(t, []string{"cancel " + a.JobID}, w.Acts)
}

// A job that was retried before, by whatever way and however long ago, is not retried again.
func TestRetryManyPassesOverWhatWasRetried(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	a := w.Stored("default", job.Failed)
	again := w.Stored("default", job.Running)
	again.RetryOf = a.JobID
	w.Jobs[again.JobID] = again
	for _, path := range []string{"/api/jobs/retry?dry_run=true", "/api/jobs/retry"} {
		r := onIDs(t, h, path, a.JobID)
		require.Equal(t, map[string]jobs.Outcome{a.JobID: jobs.Repeated}, outcomes(t, r))
		require.Equal(t, again.JobID, jobstest.Decode[jobs.BulkResult](t, r).Jobs[0].RetriedBy)
	}
	require.Empty(t, w.Taken)
}

// What was cancelled is run again where that is asked for, and not with what failed.
func TestRetryManyOfCancelled(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	for query, want := range map[string][]job.State{
		"?ticker=DAX": {job.Failed}, "?status=failed": {job.Failed}, "?status=cancelled": {job.ShownCancelled},
		"?status=failed,cancelled": {job.Failed, job.ShownCancelled},
	} {
		require.Equal(t, 200, jobstest.Call(h, "POST", "/api/jobs/retry"+query).Code, query)
		require.Equal(t, want, w.Query.Status, query)
	}
	require.Equal(t, 400, jobstest.Call(h, "POST", "/api/jobs/cancel?status=cancelled").Code)
}

// What the filters of the list find is acted on page by page.
func TestActOnWhatAFilterFinds(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	a := w.Stored("default", job.Failed)
	w.Stored("other", job.Failed)
	r := jobstest.Call(h, "POST", "/api/jobs/retry?ticker=dax&since=2026-01-01T00:00:00Z&limit=7")
	require.Equal(t, map[string]jobs.Outcome{a.JobID: jobs.Done}, outcomes(t, r))
	got := jobstest.Decode[jobs.BulkResult](t, r)
	require.Equal(t, "next", got.Next)
	require.Equal(t, 1, *got.Total)
	require.Equal(t, jobstore.Query{
		Status: []job.State{job.Failed}, Ticker: "dax", Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Limit: 7,
	}, w.Query)
	got = jobstest.Decode[jobs.BulkResult](t, jobstest.Call(h, "POST", "/api/jobs/cancel?status=queued&cursor=next"))
	require.Nil(t, got.Total, "told once")
	require.Equal(t, []job.State{job.Queued}, w.Query.Status)
	require.Equal(t, jobs.MaxBulk, w.Query.Limit)
	require.Equal(t, 400, jobstest.Call(h, "POST", "/api/jobs/cancel?status=queued&cursor=bad").Code)
	w.Broken["job store"] = true
	require.Equal(t, 503, jobstest.Call(h, "POST", "/api/jobs/retry?status=FAILED").Code)
}

// Nothing is done to jobs that nobody named: all mistakes are refused, and told at once.
func TestMistakesInActsOnMany(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	w.Stored("default", job.Failed)
	id := w.Recorded("default").JobID
	for query, fields := range map[string][]string{
		"":                                   {"status"},
		"?status=":                           {"status"},
		"?status=,":                          {"status"},
		"?label=,&group=":                    {"status"},
		"?label=a%20b":                       {"label", "status"},
		"?group=x":                           {"group"},
		"?status=QUEUED&sort=score":          {"sort"},
		"?q=%20":                             {"status"},
		"?tickr=DAX":                         {"tickr"},
		"?status=COMPLETED":                  {"status"},
		"?status=QUEUED&limit=101":           {"limit"},
		"?status=QUEUED&dry_run=perhaps":     {"dry_run"},
		"?q=" + strings.Repeat("x", 201):     {"q"},
		"?since=now&until=never&limit=0&x=1": {"limit", "since", "until", "x"},
	} {
		r := jobstest.Call(h, "POST", "/api/jobs/cancel"+query)
		require.Equal(t, 400, r.Code, query)
		var found []string
		for _, p := range jobstest.Decode[struct{ Details []job.Problem }](t, r).Details {
			found = append(found, p.Field)
		}
		require.Equal(t, fields, found, query)
	}
	require.Equal(t, 400, jobstest.Call(h, "POST", "/api/jobs/retry?status=QUEUED").Code)
	for body, want := range map[string]int{
		`{"ids":[]}`: 400, `{"ids":["x"]}`: 400, `{"ids":"` + id + `"}`: 400, `[`: 400, `{"ids":["` + id + `"],"all":true}`: 400,
		`{"ids":["` + strings.Repeat(id+`","`, jobs.MaxBulk) + id + `"]}`: 400, strings.Repeat(" ", 65<<10): 413,
	} {
		require.Equal(t, want, send(h, "/api/jobs/cancel", "application/json", body).Code, body)
	}
	require.Equal(t, 415, send(h, "/api/jobs/cancel", "text/plain", `{"ids":["`+id+`"]}`).Code)
	require.Equal(t, 400, onIDs(t, h, "/api/jobs/cancel?status=QUEUED", id).Code, "one or the other")
	require.Equal(t, 405, jobstest.Call(h, "DELETE", "/api/jobs/cancel").Code)
	require.Empty(t, w.Acts)
}

// What cannot be read of a query, or is said twice, is not passed over: it could be the
// filter, or that nothing is to be done yet.
func TestQueriesOfActsAreReadWhole(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	w.Stored("default", job.Failed)
	w.Recorded("default")
	for _, path := range []string{"/api/jobs/retry", "/api/jobs/cancel", "/api/dead-letters/redrive", "/api/dead-letters/discard"} {
		for _, query := range []string{
			"ticker=DAX&dry_run=true;x", "ticker=DAX&dry_run=true%zz", "since=2020-01-01T00:00:00Z&ticker=%zz", "trigger=store&cause=%zz", "all=true;x",
			"ticker=DAX&dry_run=false&dry_run=true", "all=true&all=false", "trigger=store&trigger=submit", "ticker=DAX&ticker=SPX",
		} {
			r := jobstest.Call(h, "POST", path+"?"+query)
			require.Equal(t, 400, r.Code, "%s?%s", path, query)
		}
	}
	require.Empty(t, w.Acts)
	require.Empty(t, w.Taken)
}

// Where the store does not tell which jobs were retried before, none is: its key is kept
// for a day only.
func TestNoRetryWithoutTheRetriesBefore(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	id := w.Stored("default", job.Failed).JobID
	w.Broken["retries"] = true
	require.Equal(t, 503, onIDs(t, h, "/api/jobs/retry", id).Code)
	require.Empty(t, w.Taken)
	w.Broken["retries"] = false
	require.Equal(t, map[string]jobs.Outcome{id: jobs.Done}, outcomes(t, onIDs(t, h, "/api/jobs/retry", id)))
}

// A share that is used up, or a store that goes away, has the rest postponed; where
// nothing came of the call at all, it is refused as a single one is.
func TestWhatIsPostponed(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	a := w.Stored("default", job.Failed)
	var ids []string
	for range 20 { // more than are acted on at once
		ids = append(ids, w.Recorded("default").JobID)
	}
	ids = append(ids, a.JobID)
	w.TakeErr = &quota.Exceeded{What: "open jobs", Limit: 7, RetryAfter: 30 * time.Second}
	r := onIDs(t, h, "/api/jobs/retry", a.JobID)
	require.Equal(t, 429, r.Code)
	require.Equal(t, "30", r.Header().Get("Retry-After"))

	r = onIDs(t, h, "/api/jobs/retry", ids...)
	require.Equal(t, "30", r.Header().Get("Retry-After"))
	require.Equal(t, jobs.Postponed, outcomes(t, r)[a.JobID])
	require.Positive(t, jobstest.Decode[jobs.BulkResult](t, r).Counts[jobs.Refused])
	require.Equal(t, 30, jobstest.Decode[jobs.BulkResult](t, r).RetryAfter)
	var many []string
	for range 60 {
		many = append(many, w.Stored("default", job.Failed).JobID)
	}
	w.Tried = 0
	require.Equal(t, 429, onIDs(t, h, "/api/jobs/retry", many...).Code)
	require.LessOrEqual(t, w.Tried, 8, "once it is full, no more are tried")
	w.TakeErr = nil
	require.Equal(t, jobs.Done, outcomes(t, onIDs(t, h, "/api/jobs/retry", a.JobID))[a.JobID])
	w.Broken["sink"] = true
	r = onIDs(t, h, "/api/jobs/retry", a.JobID)
	require.Equal(t, 503, r.Code)
	require.NotContains(t, r.Body.String(), "10.0.0.7")
}

func TestActOnManyOfATenant(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one,globex:two")
	own, foreign := w.Stored("acme", job.Failed), w.Stored("globex", job.Failed)
	require.Equal(t, 401, jobstest.Call(h, "POST", "/api/jobs/retry?status=FAILED").Code)
	require.Equal(t, 403, jobstest.Call(h, "POST", "/api/jobs/retry?status=FAILED", "X-API-Key", "one", "Sec-Fetch-Site", "cross-site").Code)
	require.Equal(t, map[string]jobs.Outcome{own.JobID: jobs.Done}, outcomes(t, jobstest.Call(h, "POST", "/api/jobs/retry?status=FAILED", "X-API-Key", "one")))
	require.Len(t, w.Taken, 1)
	require.Equal(t, "acme", w.Taken[0].Tenant)
	require.NotEqual(t, foreign.JobID, w.Taken[0].RetryOf)
}
