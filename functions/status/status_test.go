package status_test

import (
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/status"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

func TestJob(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	stored, early, foreign := w.stored("default", job.Completed), w.recorded("default"), w.recorded("other")

	got := decode[job.Job](t, call(h, "GET", "/webhook/jobs/"+stored.JobID))
	require.Equal(t, stored, got)
	require.Equal(t, stored, decode[job.Job](t, call(h, "GET", "/webhook/jobs/"+strings.ToUpper(stored.JobID))))
	got = decode[job.Job](t, call(h, "GET", "/webhook/jobs/"+early.JobID))
	require.Equal(t, job.Queued, got.Status, "readable before the job store knows it")
	require.Equal(t, early.Parameters, got.Parameters)
	require.NotNil(t, got.Results)

	for name, id := range map[string]string{
		"foreign record": foreign.JobID, "foreign row": w.stored("other", job.Running).JobID,
		"unknown": job.NewID(), "no id": "x",
	} {
		r := call(h, "GET", "/webhook/jobs/"+id)
		require.Equal(t, 404, r.Code, name)
		require.Contains(t, r.Body.String(), `"code":"not_found"`)
	}

	w.broken["job store"] = true
	require.Equal(t, 200, call(h, "GET", "/webhook/jobs/"+early.JobID).Code, "the record will do")
	r := call(h, "GET", "/webhook/jobs/"+stored.JobID)
	require.Equal(t, 503, r.Code, "nobody can tell")
	require.NotEmpty(t, r.Header().Get("Retry-After"))
	require.NotContains(t, r.Body.String(), "10.0.0.7")
	require.Equal(t, 404, call(h, "GET", "/webhook/jobs/"+foreign.JobID).Code)

	w.broken["job store"], w.broken["redis"] = false, true
	require.Equal(t, 200, call(h, "GET", "/webhook/jobs/"+stored.JobID).Code)
	require.Equal(t, 503, call(h, "GET", "/webhook/jobs/"+early.JobID).Code)
}

func TestList(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	r := call(h, "GET", "/api/jobs")
	require.JSONEq(t, `{"jobs":[]}`, r.Body.String())
	w.stored("default", job.Running)
	w.stored("other", job.Running)
	page := decode[struct {
		Jobs []job.Job `json:"jobs"`
		Next string    `json:"next_cursor"`
	}](t, call(h, "GET", "/api/jobs?status=running,failed&status=QUEUED&ticker=dax&limit=7&cursor=c&since=2026-01-01T00:00:00Z&q=text"))
	require.Len(t, page.Jobs, 1)
	require.Equal(t, "next", page.Next)
	require.Equal(t, jobstore.Query{
		Status: []job.State{job.Running, job.Failed, job.Queued}, Ticker: "dax", Limit: 7, Cursor: "c", Text: "q",
		Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}, func() jobstore.Query { q := w.query; q.Text = "q"; return q }())
	require.Equal(t, "text", w.query.Text)

	r = call(h, "GET", "/api/jobs?status=odd&limit=0&since=yesterday&until=x")
	require.Equal(t, 400, r.Code)
	require.Len(t, decode[struct{ Details []job.Problem }](t, r).Details, 4)
	require.Equal(t, 400, call(h, "GET", "/api/jobs?cursor=bad").Code)
	require.Equal(t, 400, call(h, "GET", "/api/jobs?limit=501").Code)
	w.broken["job store"] = true
	require.Equal(t, 503, call(h, "GET", "/api/jobs").Code)
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j, early := w.stored("default", job.Running), w.recorded("default")
	w.events[j.JobID] = []job.TimelineEvent{{ID: j.JobID + "/requested", Type: "com.zixly.sweep.requested.v1", Time: created}}
	body := decode[struct {
		JobID  string              `json:"job_id"`
		Events []job.TimelineEvent `json:"events"`
	}](t, call(h, "GET", "/api/jobs/"+j.JobID+"/events"))
	require.Equal(t, j.JobID, body.JobID)
	require.Equal(t, w.events[j.JobID], body.Events)
	require.JSONEq(t, `{"job_id":"`+early.JobID+`","events":[]}`, call(h, "GET", "/api/jobs/"+early.JobID+"/events").Body.String())
	require.Equal(t, 404, call(h, "GET", "/api/jobs/"+job.NewID()+"/events").Code)
	require.Equal(t, 404, call(h, "GET", "/api/jobs/x/events").Code)
	w.broken["job store"] = true
	require.Equal(t, 503, call(h, "GET", "/api/jobs/"+j.JobID+"/events").Code)
}

func TestResults(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j := w.stored("default", job.Completed)
	signal, calmar := 9, 0.125
	w.rows = []job.Row{
		{Ticker: "DAX", StrategyType: "MACD", FastPeriod: 12, SlowPeriod: 26, SignalPeriod: &signal, Score: 1.5, CalmarRatio: &calmar, TotalTrades: 60},
		{Ticker: "=A1/A2", StrategyType: "SMA", FastPeriod: 10, SlowPeriod: 20, Score: -1},
	}
	r := call(h, "GET", "/api/jobs/"+j.JobID+"/results.csv")
	require.Equal(t, 200, r.Code)
	require.Contains(t, r.Header().Get("Content-Type"), "text/csv")
	require.Contains(t, r.Header().Get("Content-Disposition"), j.JobID)
	lines, err := csv.NewReader(r.Body).ReadAll()
	require.NoError(t, err, "as many fields as columns in each line")
	require.Len(t, lines, 3)
	require.Equal(t, []string{"DAX", "MACD", "12", "26", "9", "1.5"}, lines[1][:6])
	require.Equal(t, "0.125", lines[1][17])
	require.Empty(t, lines[2][4])
	require.Equal(t, []string{"'=A1/A2", "-1"}, []string{lines[2][0], lines[2][5]}, "a text is no formula, a number stays one")
	require.Equal(t, 200, call(h, "GET", "/api/jobs/"+strings.ToUpper(j.JobID)+"/results.csv").Code)

	w.rowErr = errGone
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { call(h, "GET", "/api/jobs/"+j.JobID+"/results.csv") },
		"a file cut short must not look whole")
	w.rows = nil
	require.Equal(t, 503, call(h, "GET", "/api/jobs/"+j.JobID+"/results.csv").Code)
	require.Equal(t, 404, call(h, "GET", "/api/jobs/"+job.NewID()+"/results.csv").Code)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	early := w.recorded("default")
	cancel := func(id string) *httptest.ResponseRecorder { return call(h, "POST", "/api/jobs/"+id+"/cancel") }
	require.Equal(t, "FAILED", decode[map[string]any](t, cancel(early.JobID))["status"])
	require.Equal(t, 409, cancel(early.JobID).Code, "once is enough")
	ending := w.recorded("default")
	w.set(func() { w.records[ending.JobID] = ended(ending) })
	require.Equal(t, 409, cancel(ending.JobID).Code, "its results are on their way")
	require.Equal(t, []string{"cancel " + early.JobID}, w.acts)
	require.Equal(t, 409, cancel(w.stored("default", job.Completed).JobID).Code)
	require.Equal(t, 409, cancel(w.stored("default", job.Failed).JobID).Code)
	require.Equal(t, 409, cancel(w.stored("default", job.Running).JobID).Code, "it left no record to cancel")
	require.Equal(t, 404, cancel(w.recorded("other").JobID).Code)
	require.Equal(t, 404, cancel(job.NewID()).Code)
	require.Len(t, w.acts, 1)
	w.broken["redis"] = true
	require.Equal(t, 503, cancel(w.stored("default", job.Running).JobID).Code)
}

func TestRetry(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	failed := w.stored("default", job.Failed)
	retry := func(id string, header ...string) *httptest.ResponseRecorder {
		return call(h, "POST", "/api/jobs/"+id+"/retry", header...)
	}
	r := retry(failed.JobID)
	require.Equal(t, 202, r.Code)
	body := decode[map[string]any](t, r)
	require.Equal(t, failed.JobID, body["retry_of"])
	require.NotEqual(t, failed.JobID, body["job_id"])
	require.Equal(t, "/webhook/jobs/"+body["job_id"].(string), r.Header().Get("Location"))
	require.Equal(t, enqueue.Request{Tenant: "default", Sweep: sweep, RetryOf: failed.JobID}, w.taken[0])

	retry(failed.JobID, "Idempotency-Key", "k")
	require.NotEmpty(t, w.taken[1].Key)
	require.NotEqual(t, "k", w.taken[1].Key, "apart from the keys of the webhook")
	retry(strings.ToUpper(failed.JobID), "Idempotency-Key", `"k"`)
	require.Equal(t, w.taken[1], w.taken[2], "quoted or bare, and the id in capitals")
	require.Equal(t, 400, retry(failed.JobID, "Idempotency-Key", strings.Repeat("k", 256)).Code)
	for _, s := range []job.State{job.Queued, job.Running, job.Completed} {
		require.Equal(t, 409, retry(w.stored("default", s).JobID).Code)
	}
	require.Equal(t, 404, retry(w.stored("other", job.Failed).JobID).Code)
	require.Len(t, w.taken, 3)
	w.broken["sink"] = true
	require.Equal(t, 503, retry(failed.JobID).Code)
}

func TestTenantsSeeOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one,globex:two")
	j := w.stored("acme", job.Failed)
	for _, path := range []string{"/webhook/jobs/" + j.JobID, "/api/jobs/" + j.JobID + "/events", "/api/jobs/" + j.JobID + "/stream", "/api/jobs/" + j.JobID + "/results.csv", "/api/jobs/" + j.JobID} {
		require.Equal(t, 401, call(h, "GET", path).Code, path)
		require.Equal(t, 404, call(h, "GET", path, "X-API-Key", "two").Code, path)
		require.Equal(t, 200, call(h, "GET", path, "Authorization", "Bearer one").Code, path)
	}
	for _, path := range []string{"/api/jobs/" + j.JobID + "/retry", "/api/jobs/" + j.JobID + "/cancel"} {
		require.Equal(t, 401, call(h, "POST", path).Code)
		require.Equal(t, 404, call(h, "POST", path, "X-API-Key", "two").Code)
	}
	require.Contains(t, call(h, "GET", "/api/jobs", "X-API-Key", "two").Body.String(), `"jobs":[]`)
}

func TestAddressesAndMethods(t *testing.T) {
	t.Parallel()
	_, _, h := setup(t, "")
	for _, c := range []struct {
		method, path string
		want         int
		allow        string
	}{
		{"GET", "/nowhere", 404, ""},
		{"POST", "/nowhere", 404, ""},
		{"POST", "/api/jobs", 405, "GET, HEAD"},
		{"GET", "/api/jobs/x/cancel", 405, "POST"},
		{"PUT", "/", 405, "GET, HEAD"},
		{"GET", "/assets/", 404, ""},
	} {
		r := call(h, c.method, c.path)
		require.Equal(t, c.want, r.Code, c)
		require.Equal(t, c.allow, r.Header().Get("Allow"), c)
		require.Contains(t, r.Body.String(), `"timestamp"`)
	}
	for path, kind := range map[string]string{"/assets/app.css": "text/css", "/assets/app.js": "javascript", "/assets/favicon.svg": "image/svg+xml"} {
		r := call(h, "GET", path)
		require.Equal(t, 200, r.Code, path)
		require.Contains(t, r.Header().Get("Content-Type"), kind)
	}
	require.Equal(t, 301, call(h, "GET", "/favicon.ico").Code)
}

func TestOtherSitesCannotAct(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	id := w.recorded("default").JobID
	r := call(h, "POST", "/api/jobs/"+id+"/cancel", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, 403, r.Code)
	require.Empty(t, w.acts)
	require.Equal(t, 202, call(h, "POST", "/api/jobs/"+id+"/cancel", "Sec-Fetch-Site", "same-origin").Code)
}

func TestReady(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	require.Equal(t, 200, call(h, "GET", "/readyz").Code)
	w.broken["job store"], w.broken["redis"] = true, true
	r := call(h, "GET", "/readyz")
	require.Equal(t, 503, r.Code)
	require.Contains(t, r.Body.String(), "missing: job store, redis")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := status.New(status.Config{Heartbeat: time.Second, MaxStreams: 1}, status.Deps{})
	require.Error(t, err)
}
