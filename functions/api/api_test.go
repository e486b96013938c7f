package api_test

import (
	"encoding/csv"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/functions/api"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/openapi/openapitest"
	"github.com/zixly/sweepline/shared/wait"
)

func setup(t *testing.T, keys string) (*jobstest.World, *api.Function, http.Handler) {
	t.Helper()
	w := jobstest.New()
	f, h := serve(t, w.Service(t, keys))
	return w, f, h
}

func serve(t testing.TB, s *jobs.Service) (*api.Function, http.Handler) {
	t.Helper()
	f, err := api.New(s)
	require.NoError(t, err)
	h, err := function.Handler("api", f, prometheus.NewRegistry())
	require.NoError(t, err)
	return f, openapitest.Wrap(t, h)
}

func TestJob(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	stored, early, foreign := w.Stored("default", job.Completed), w.Recorded("default"), w.Recorded("other")

	got := jobstest.Decode[job.Job](t, jobstest.Call(h, "GET", "/webhook/jobs/"+stored.JobID))
	require.Equal(t, stored, got)
	require.Equal(t, stored, jobstest.Decode[job.Job](t, jobstest.Call(h, "GET", "/webhook/jobs/"+strings.ToUpper(stored.JobID))))
	got = jobstest.Decode[job.Job](t, jobstest.Call(h, "GET", "/webhook/jobs/"+early.JobID))
	require.Equal(t, job.Queued, got.Status, "readable before the job store knows it")
	require.Equal(t, early.Parameters, got.Parameters)
	require.NotNil(t, got.Results)

	for name, id := range map[string]string{
		"foreign record": foreign.JobID, "foreign row": w.Stored("other", job.Running).JobID,
		"unknown": job.NewID(), "no id": "x",
	} {
		r := jobstest.Call(h, "GET", "/webhook/jobs/"+id)
		require.Equal(t, 404, r.Code, name)
		require.Contains(t, r.Body.String(), `"code":"not_found"`)
	}

	w.Broken["job store"] = true
	require.Equal(t, 200, jobstest.Call(h, "GET", "/webhook/jobs/"+early.JobID).Code, "the record will do")
	r := jobstest.Call(h, "GET", "/webhook/jobs/"+stored.JobID)
	require.Equal(t, 503, r.Code, "nobody can tell")
	require.NotEmpty(t, r.Header().Get("Retry-After"))
	require.NotContains(t, r.Body.String(), "10.0.0.7")
	require.Equal(t, 404, jobstest.Call(h, "GET", "/webhook/jobs/"+foreign.JobID).Code)

	w.Broken["job store"], w.Broken["redis"] = false, true
	require.Equal(t, 200, jobstest.Call(h, "GET", "/webhook/jobs/"+stored.JobID).Code)
	require.Equal(t, 503, jobstest.Call(h, "GET", "/webhook/jobs/"+early.JobID).Code)
}

func TestList(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	r := jobstest.Call(h, "GET", "/api/jobs")
	require.JSONEq(t, `{"jobs":[]}`, r.Body.String())
	w.Stored("default", job.Running)
	w.Stored("other", job.Running)
	page := jobstest.Decode[struct {
		Jobs []job.Job `json:"jobs"`
		Next string    `json:"next_cursor"`
	}](t, jobstest.Call(h, "GET", "/api/jobs?status=running,failed&status=QUEUED&ticker=dax&prefix=0190A6F0-00&limit=7&cursor=c&since=2026-01-01T00:00:00Z&q=text&sort=score&label=weekly,desk=eu&label=weekly&group=0190A6F0-0000-7000-8000-000000000001"))
	require.Len(t, page.Jobs, 1)
	require.Equal(t, "next", page.Next)
	require.Equal(t, jobstore.Query{
		Status: []job.State{job.Running, job.Failed, job.Queued}, Ticker: "dax", Prefix: "0190a6f0-00", Limit: 7, Cursor: "c", Text: "q", Sort: jobstore.BestFirst,
		Group: "0190a6f0-0000-7000-8000-000000000001", Labels: []string{"weekly", "desk=eu"},
		Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}, func() jobstore.Query { q := w.Query; q.Text = "q"; return q }())
	require.Equal(t, "text", w.Query.Text)

	for since, want := range map[string]int{"2026-01-01t00:00:00z": 200, "1990-12-31T23:59:60Z": 200, "2026-01-01T00:00:00,5Z": 400, "2026-01-01T00:00:00%2B24:00": 400} {
		require.Equal(t, want, jobstest.Call(h, "GET", "/api/jobs?since="+since).Code, since)
	}
	r = jobstest.Call(h, "GET", "/api/jobs?status=odd&limit=0&since=yesterday&until=x&sort=best&group=x&label=a%20b&prefix=0190a")
	require.Equal(t, 400, r.Code)
	require.Len(t, jobstest.Decode[struct{ Details []job.Problem }](t, r).Details, 8)
	for _, prefix := range []string{"0190a", "-0190a-", "0190ag", "0190a6f0-0000-7000-8000-0000000000011", "%25"} {
		require.Equal(t, 400, jobstest.Call(h, "GET", "/api/jobs?prefix="+prefix).Code, prefix)
	}
	require.Equal(t, 200, jobstest.Call(h, "GET", "/api/jobs?sort=created").Code)
	require.Equal(t, jobstore.NewestFirst, w.Query.Sort)
	require.Equal(t, 400, jobstest.Call(h, "GET", "/api/jobs?cursor=bad").Code)
	require.Equal(t, 400, jobstest.Call(h, "GET", "/api/jobs?limit=501").Code)
	w.Broken["job store"] = true
	require.Equal(t, 503, jobstest.Call(h, "GET", "/api/jobs").Code)
}

// The list says of a running job what a look at it says.
func TestListOfRunningJobs(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	head := w.Recorded("default")
	w.Jobs[head.JobID] = job.Job{JobID: head.JobID, TenantID: "default", Status: job.Queued, Parameters: head.Parameters, CreatedAt: head.CreatedAt, Results: []job.Row{}}
	w.Records[head.JobID] = jobstest.Running(head, 55)
	list := jobstest.Decode[struct {
		Jobs []map[string]any `json:"jobs"`
	}](t, jobstest.Call(h, "GET", "/api/jobs"))
	one := jobstest.Decode[map[string]any](t, jobstest.Call(h, "GET", "/api/jobs/"+head.JobID))
	for _, j := range append(list.Jobs, one) {
		require.Equal(t, "RUNNING", j["status"])
		require.InDelta(t, 55, j["progress"], 0)
		require.Positive(t, j["elapsed_seconds"])
		require.Equal(t, []any{}, j["results"])
	}
	require.Equal(t, 1, w.Reads)
	w.Broken["redis"] = true
	require.Equal(t, 200, jobstest.Call(h, "GET", "/api/jobs").Code, "the list needs no Redis")
}

// A job that its owner cancelled is FAILED to programs, as ever, and CANCELLED to people;
// a failed one tells by which it was retried, and that one which it repeats.
func TestCancelledAndRetried(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	failed, cancelled, again := w.Stored("default", job.Failed), w.Stored("default", job.Failed), w.Stored("default", job.Queued)
	cancelled.ErrorCode, again.RetryOf = job.Cancelled, failed.JobID
	w.Jobs[cancelled.JobID], w.Jobs[again.JobID] = cancelled, again
	foreign := w.Stored("other", job.Queued)
	foreign.RetryOf = cancelled.JobID
	w.Jobs[foreign.JobID] = foreign
	all := map[string]map[string]any{}
	for _, j := range jobstest.Decode[struct {
		Jobs []map[string]any `json:"jobs"`
	}](t, jobstest.Call(h, "GET", "/api/jobs?status=cancelled")).Jobs {
		all[j["job_id"].(string)] = j
	}
	require.Equal(t, []job.State{job.ShownCancelled}, w.Query.Status)
	for id, want := range map[string][2]any{failed.JobID: {"FAILED", "FAILED"}, cancelled.JobID: {"FAILED", "CANCELLED"}, again.JobID: {"QUEUED", "QUEUED"}} {
		one := jobstest.Decode[map[string]any](t, jobstest.Call(h, "GET", "/api/jobs/"+id))
		for _, j := range []map[string]any{all[id], one} {
			require.Equal(t, want, [2]any{j["status"], j["display_status"]})
			require.Equal(t, id == failed.JobID, j["retried_by"] != nil)
		}
	}
	require.Equal(t, []any{again.JobID}, all[failed.JobID]["retried_by"])
	require.Equal(t, failed.JobID, all[again.JobID]["retry_of"])
}

func TestAddressesAreReadLeniently(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j := w.Stored("default", job.Completed)
	for _, path := range []string{
		"/webhook/jobs/" + j.JobID + "/", "/api/jobs/" + strings.ToUpper(j.JobID) + "/", "/api/jobs/", "/api/jobs/" + j.JobID + "/events/",
		"/api/jobs/%" + hex.EncodeToString([]byte(j.JobID[:1])) + j.JobID[1:], "/api/jobs/" + strings.ReplaceAll(j.JobID, "-", "%2D"), "/api/jobs/" + strings.ReplaceAll(j.JobID, "-", "%2d") + "/",
	} {
		require.Equal(t, 200, jobstest.Call(h, "GET", path).Code, path)
	}
	for _, path := range []string{"/", "/nowhere/", "/api/jobs//", "/api/jobs/" + j.JobID + "//"} {
		require.NotEqual(t, 200, jobstest.Call(h, "GET", path).Code, path)
	}
	require.Equal(t, 409, jobstest.Call(h, "POST", "/api/jobs/"+j.JobID+"/cancel/").Code)
	require.Equal(t, 405, jobstest.Call(h, "POST", "/api/jobs/").Code)
}

func TestPing(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one")
	w.Broken["redis"], w.Broken["job store"] = true, true
	require.Equal(t, 204, jobstest.Call(h, "GET", "/api/ping").Code)
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j, early := w.Stored("default", job.Running), w.Recorded("default")
	w.Events[j.JobID] = []job.TimelineEvent{{ID: j.JobID + "/requested", Type: "com.zixly.sweep.requested.v1", Time: jobstest.Created}}
	body := jobstest.Decode[struct {
		JobID  string              `json:"job_id"`
		Events []job.TimelineEvent `json:"events"`
	}](t, jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+"/events"))
	require.Equal(t, j.JobID, body.JobID)
	require.Equal(t, w.Events[j.JobID], body.Events)
	require.JSONEq(t, `{"job_id":"`+early.JobID+`","events":[]}`, jobstest.Call(h, "GET", "/api/jobs/"+early.JobID+"/events").Body.String())
	require.Equal(t, 404, jobstest.Call(h, "GET", "/api/jobs/"+job.NewID()+"/events").Code)
	require.Equal(t, 404, jobstest.Call(h, "GET", "/api/jobs/x/events").Code)
	w.Broken["job store"] = true
	require.Equal(t, 503, jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+"/events").Code)
}

func TestResults(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j := w.Stored("default", job.Completed)
	signal, calmar := 9, 0.125
	w.Rows = []job.Row{
		{Ticker: "DAX", StrategyType: "MACD", FastPeriod: 12, SlowPeriod: 26, SignalPeriod: &signal, Score: 1.5, CalmarRatio: &calmar, TotalTrades: 60},
		{Ticker: "=A1/A2", StrategyType: "SMA", FastPeriod: 10, SlowPeriod: 20, Score: -1, NeighbourWorst: &calmar},
	}
	r := jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+"/results.csv")
	require.Equal(t, 200, r.Code)
	require.Contains(t, r.Header().Get("Content-Type"), "text/csv")
	require.Contains(t, r.Header().Get("Content-Disposition"), j.JobID)
	lines, err := csv.NewReader(r.Body).ReadAll()
	require.NoError(t, err, "as many fields as columns in each line")
	require.Len(t, lines, 3)
	require.Equal(t, []string{"DAX", "MACD", "12", "26", "9", "1.5"}, lines[1][:6])
	require.Equal(t, "0.125", lines[1][17])
	require.Empty(t, lines[2][4])
	require.Equal(t, []string{"neighbour_worst", "neighbour_median"}, lines[0][22:])
	require.Equal(t, []string{"0.125", ""}, lines[2][22:])
	require.Equal(t, []string{"synthetic", "data_source", "data_hash"}, lines[0][19:22])
	require.Equal(t, []string{"", "", ""}, lines[1][19:22], "the API says nothing of its prices: nobody knows")
	for want, m := range map[string]*job.Metrics{
		"true,,":              {Synthetic: true},
		"true,synthetic,":     {Synthetic: true, Data: &job.Data{Source: "synthetic"}},
		"false,'=feed,sha256": {Data: &job.Data{Source: "=feed", Hash: "sha256"}},
	} {
		j.Metrics = m
		w.Set(func() { w.Jobs[j.JobID] = j })
		lines, err := csv.NewReader(jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+"/results.csv").Body).ReadAll()
		require.NoError(t, err)
		require.Equal(t, want, strings.Join(lines[2][19:22], ","))
	}
	require.Equal(t, []string{"'=A1/A2", "-1"}, []string{lines[2][0], lines[2][5]}, "a text is no formula, a number stays one")
	require.Equal(t, 200, jobstest.Call(h, "GET", "/api/jobs/"+strings.ToUpper(j.JobID)+"/results.csv").Code)

	w.RowErr = jobstest.ErrGone
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+"/results.csv") },
		"a file cut short must not look whole")
	w.Rows = nil
	require.Equal(t, 503, jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+"/results.csv").Code)
	require.Equal(t, 404, jobstest.Call(h, "GET", "/api/jobs/"+job.NewID()+"/results.csv").Code)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	early := w.Recorded("default")
	cancel := func(id string) *httptest.ResponseRecorder { return jobstest.Call(h, "POST", "/api/jobs/"+id+"/cancel") }
	require.Equal(t, "FAILED", jobstest.Decode[map[string]any](t, cancel(early.JobID))["status"])
	require.Equal(t, 409, cancel(early.JobID).Code, "once is enough")
	ending := w.Recorded("default")
	w.Set(func() { w.Records[ending.JobID] = jobstest.Ended(ending) })
	require.Equal(t, 409, cancel(ending.JobID).Code, "its results are on their way")
	require.Equal(t, []string{"cancel " + early.JobID}, w.Acts)
	require.Equal(t, 409, cancel(w.Stored("default", job.Completed).JobID).Code)
	require.Equal(t, 409, cancel(w.Stored("default", job.Failed).JobID).Code)
	require.Equal(t, 409, cancel(w.Stored("default", job.Running).JobID).Code, "it left no record to cancel")
	require.Equal(t, 404, cancel(w.Recorded("other").JobID).Code)
	require.Equal(t, 404, cancel(job.NewID()).Code)
	require.Len(t, w.Acts, 1)
	w.Broken["redis"] = true
	require.Equal(t, 503, cancel(w.Stored("default", job.Running).JobID).Code)
}

func TestRetry(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	failed := w.Stored("default", job.Failed)
	failed.NotifyURL = "https://hooks.example.com/a"
	w.Jobs[failed.JobID] = failed
	retry := func(id string, header ...string) *httptest.ResponseRecorder {
		return jobstest.Call(h, "POST", "/api/jobs/"+id+"/retry", header...)
	}
	r := retry(failed.JobID)
	require.Equal(t, 202, r.Code)
	body := jobstest.Decode[map[string]any](t, r)
	require.Equal(t, failed.JobID, body["retry_of"])
	require.NotEqual(t, failed.JobID, body["job_id"])
	require.Equal(t, "/webhook/jobs/"+body["job_id"].(string), r.Header().Get("Location"))
	require.Equal(t, enqueue.Request{Tenant: "default", Sweep: jobstest.Sweep, NotifyURL: failed.NotifyURL, RetryOf: failed.JobID, Shares: wait.Shares{Tenants: 1}}, w.Taken[0])

	retry(failed.JobID, "Idempotency-Key", "k")
	require.NotEmpty(t, w.Taken[1].Key)
	require.NotEqual(t, "k", w.Taken[1].Key, "apart from the keys of the webhook")
	retry(strings.ToUpper(failed.JobID), "Idempotency-Key", `"k"`)
	require.Equal(t, w.Taken[1], w.Taken[2], "quoted or bare, and the id in capitals")
	require.Equal(t, 400, retry(failed.JobID, "Idempotency-Key", strings.Repeat("k", 256)).Code)
	for _, s := range []job.State{job.Queued, job.Running, job.Completed} {
		require.Equal(t, 409, retry(w.Stored("default", s).JobID).Code)
	}
	require.Equal(t, 404, retry(w.Stored("other", job.Failed).JobID).Code)
	require.Len(t, w.Taken, 3)
	w.Broken["sink"] = true
	require.Equal(t, 503, retry(failed.JobID).Code)
}

func TestTenantsSeeOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one,globex:two")
	j := w.Stored("acme", job.Failed)
	for _, path := range []string{"/webhook/jobs/" + j.JobID, "/api/jobs/" + j.JobID + "/events", "/api/jobs/" + j.JobID + "/stream", "/api/jobs/" + j.JobID + "/results.csv", "/api/jobs/" + j.JobID} {
		require.Equal(t, 401, jobstest.Call(h, "GET", path).Code, path)
		require.Equal(t, 404, jobstest.Call(h, "GET", path, "X-API-Key", "two").Code, path)
		require.Equal(t, 200, jobstest.Call(h, "GET", path, "Authorization", "Bearer one").Code, path)
	}
	for _, path := range []string{"/api/jobs/" + j.JobID + "/retry", "/api/jobs/" + j.JobID + "/cancel"} {
		require.Equal(t, 401, jobstest.Call(h, "POST", path).Code)
		require.Equal(t, 404, jobstest.Call(h, "POST", path, "X-API-Key", "two").Code)
	}
	require.Contains(t, jobstest.Call(h, "GET", "/api/jobs", "X-API-Key", "two").Body.String(), `"jobs":[]`)
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
		{"GET", "/", 404, ""}, // the dashboard's
	} {
		r := jobstest.Call(h, c.method, c.path)
		require.Equal(t, c.want, r.Code, c)
		require.Equal(t, c.allow, r.Header().Get("Allow"), c)
		require.Contains(t, r.Body.String(), `"timestamp"`)
	}
}

func TestOtherSitesCannotAct(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	id := w.Recorded("default").JobID
	r := jobstest.Call(h, "POST", "/api/jobs/"+id+"/cancel", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, 403, r.Code)
	require.Empty(t, w.Acts)
	require.Equal(t, 202, jobstest.Call(h, "POST", "/api/jobs/"+id+"/cancel", "Sec-Fetch-Site", "same-origin").Code)
}

func TestReady(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	require.Equal(t, 200, jobstest.Call(h, "GET", "/readyz").Code)
	w.Broken["job store"], w.Broken["redis"] = true, true
	r := jobstest.Call(h, "GET", "/readyz")
	require.Equal(t, 503, r.Code)
	require.Contains(t, r.Body.String(), "missing: job store, redis")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := api.New(nil)
	require.Error(t, err)
}
