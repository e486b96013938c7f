package dashboard_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
)

func TestPages(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	require.Contains(t, jobstest.Call(h, "GET", "/").Body.String(), "No jobs yet")
	failed, early := w.Stored("default", job.Failed), w.Recorded("default")
	done := w.Stored("default", job.Completed)
	done.ErrorMessage, done.Ticker = "", "<script>alert(1)</script>"
	w.Rows = []job.Row{{FastPeriod: 10, SlowPeriod: 20, Score: 1.234}, {FastPeriod: 11, SlowPeriod: 20, Score: 0.5}}
	done.Results, done.Metrics = w.Rows[:1], &job.Metrics{Combinations: 2, BestScore: 1.234}
	w.Set(func() { w.Jobs[done.JobID] = done })
	w.Events[done.JobID] = []job.TimelineEvent{{Type: "com.zixly.sweep.failed.v1", Time: jobstest.Created, Attempt: 2, Error: "timeout"}}

	list := jobstest.Call(h, "GET", "/?status=FAILED&ticker=DAX")
	require.Equal(t, 200, list.Code)
	require.Contains(t, list.Header().Get("Content-Security-Policy"), "script-src 'self'")
	body := list.Body.String()
	require.Contains(t, body, "/jobs/"+failed.JobID)
	require.Contains(t, body, "cursor=next")
	require.Contains(t, body, `href="/?status=FAILED&amp;ticker=DAX" aria-current="true">Failed`)
	require.Eventually(t, func() bool { // a page does not wait for counts for ever
		return strings.Contains(jobstest.Call(h, "GET", "/?status=FAILED&ticker=DAX").Body.String(), `Failed <span class="count">1</span>`)
	}, time.Minute, time.Millisecond)
	require.NotContains(t, body, "<script>alert")
	require.Equal(t, 400, jobstest.Call(h, "GET", "/?status=odd").Code)
	require.Equal(t, 400, jobstest.Call(h, "GET", "/?cursor=bad").Code)

	page := jobstest.Call(h, "GET", "/jobs/"+done.JobID).Body.String()
	require.Contains(t, page, "1.23")
	require.Contains(t, page, "results.csv")
	require.Contains(t, page, "attempt 2")
	require.NotContains(t, page, "data-stream", "nothing more to come")
	require.NotContains(t, page, ">Retry<")
	page = jobstest.Call(h, "GET", "/jobs/"+early.JobID).Body.String()
	require.Contains(t, page, `data-stream="/api/jobs/`+early.JobID+`/stream"`)
	require.Contains(t, page, ">Cancel<")
	page = jobstest.Call(h, "GET", "/jobs/"+failed.JobID).Body.String()
	require.Contains(t, page, ">Retry<")
	require.Contains(t, page, "no result within an hour")
	require.Equal(t, 404, jobstest.Call(h, "GET", "/jobs/"+job.NewID()).Code)

	w.Broken["job store"] = true
	away := jobstest.Call(h, "GET", "/")
	require.Equal(t, 503, away.Code)
	require.Contains(t, away.Body.String(), "data-retry", "it may be asked for again")
	away = jobstest.Form(h, "/jobs/"+failed.JobID+"/retry", nil)
	require.Equal(t, 503, away.Code)
	require.NotContains(t, away.Body.String(), "data-retry", "an act may not")
	require.Contains(t, jobstest.Call(h, "GET", "/jobs/"+early.JobID).Body.String(), "timeline is not available")
}

// Results on prices that are not the ticker's say so wherever they are shown, and all
// results say what they were computed on, or that it is unknown.
func TestPricesAreTold(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j := w.Stored("default", job.Completed)
	show := func(m *job.Metrics) (list, page string) {
		j.Metrics = m
		w.Set(func() { w.Jobs[j.JobID] = j })
		return jobstest.Call(h, "GET", "/").Body.String(), jobstest.Call(h, "GET", "/jobs/"+j.JobID).Body.String()
	}
	list, page := show(&job.Metrics{Combinations: 2, Synthetic: true, Data: &job.Data{Source: "synthetic", Bars: 2520, Hash: "sha256:abc"}})
	require.Contains(t, list, `<span class="badge MADEUP">`)
	require.Contains(t, page, "<strong>Made-up prices.</strong>")
	require.Contains(t, page, "say nothing about DAX")
	require.Contains(t, page, "made up (2520 bars)")
	require.Contains(t, page, "sha256:abc")
	list, page = show(&job.Metrics{Combinations: 2, Data: &job.Data{Source: "<DAX>.csv", FirstDay: "2020-01-02", LastDay: "2024-12-30", Bars: 1250}})
	require.NotContains(t, list+page, "made-up")
	require.Contains(t, page, "&lt;DAX&gt;.csv, 2020-01-02 to 2024-12-30, 1250 bars")
	_, page = show(&job.Metrics{Combinations: 2})
	require.Contains(t, page, `<dt>Prices</dt><dd class="wrap">unknown</dd>`)
}

// What was cancelled is no failure to people, and what was retried says so.
func TestCancelledAndRetried(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j, again := w.Stored("default", job.Failed), w.Stored("default", job.Completed)
	j.ErrorCode, j.ErrorMessage = job.Cancelled, "cancelled by its owner"
	again.RetryOf = j.JobID
	w.Set(func() {
		w.Jobs[j.JobID], w.Jobs[again.JobID] = j, again
		w.Events[j.JobID] = []job.TimelineEvent{
			{Type: "com.zixly.sweep.requested.v1", Time: jobstest.Created},
			{Type: "com.zixly.sweep.failed.v1", Time: jobstest.Created, Error: "cancelled by its owner"},
			{Type: "com.zixly.job.failed.v1", Time: jobstest.Created},
		}
	})
	list := jobstest.Call(h, "GET", "/").Body.String()
	require.Contains(t, list, `<span class="badge CANCELLED">Cancelled</span>`)
	require.Contains(t, list, `<span class="dim sub">retried</span>`)
	require.NotContains(t, list, `badge FAILED`)
	require.Eventually(t, func() bool {
		return strings.Contains(jobstest.Call(h, "GET", "/?status=CANCELLED").Body.String(), `aria-current="true">Cancelled <span class="count">1</span>`)
	}, time.Minute, time.Millisecond)
	page := jobstest.Call(h, "GET", "/jobs/"+j.JobID).Body.String()
	require.Contains(t, page, `<span class="badge CANCELLED">`)
	require.Contains(t, page, `Retried as <a class="mono" href="/jobs/`+again.JobID+`"`)
	require.NotContains(t, page, `class="alert"><strong>`)
	require.Contains(t, page, "Cancelling stored")
	require.NotContains(t, page, "Sweep failed")
	require.NotContains(t, page, "Failure stored")
	require.Contains(t, jobstest.Call(h, "GET", "/jobs/"+again.JobID).Body.String(), `This repeats <a class="mono" href="/jobs/`+j.JobID+`"`)
}

func TestActsFromPages(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	failed, early := w.Stored("default", job.Failed), w.Recorded("default")
	r := jobstest.Call(h, "POST", "/jobs/"+early.JobID+"/cancel")
	require.Equal(t, 303, r.Code)
	require.Equal(t, "/jobs/"+early.JobID, r.Header().Get("Location"))
	r = jobstest.Form(h, "/jobs/"+failed.JobID+"/retry", url.Values{"key": {"once"}})
	require.Equal(t, 303, r.Code)
	require.Contains(t, w.Taken[0].Key, "once")
	require.Equal(t, 409, jobstest.Call(h, "POST", "/jobs/"+failed.JobID+"/cancel").Code)
	require.Equal(t, 404, jobstest.Call(h, "POST", "/jobs/"+job.NewID()+"/cancel").Code)
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one,globex:two")
	j := w.Stored("acme", job.Failed)
	asked := jobstest.Call(h, "GET", "/jobs/"+j.JobID)
	require.Equal(t, 401, asked.Code)
	require.Contains(t, asked.Body.String(), `name="next" value="/jobs/`+j.JobID+`"`)
	wrong := jobstest.Form(h, "/login", url.Values{"key": {"three"}, "next": {"/"}})
	require.Equal(t, 401, wrong.Code)
	require.Empty(t, wrong.Header().Get("Set-Cookie"))
	require.NotContains(t, wrong.Body.String(), "three")

	in := jobstest.Form(h, "/login", url.Values{"key": {"one"}, "next": {"/jobs/" + j.JobID}})
	require.Equal(t, 303, in.Code)
	require.Equal(t, "/jobs/"+j.JobID, in.Header().Get("Location"))
	cookie := in.Result().Cookies()[0]
	page := httptest.NewRequest(http.MethodGet, "/jobs/"+j.JobID, http.NoBody)
	page.AddCookie(cookie)
	shown := httptest.NewRecorder()
	h.ServeHTTP(shown, page)
	require.Equal(t, 200, shown.Code)
	require.Contains(t, shown.Body.String(), "Sign out")
	w.Set(func() { w.Broken["redis"] = true })
	out := jobstest.Form(h, "/logout", nil, cookie)
	require.Equal(t, 503, out.Code)
	require.Contains(t, out.Body.String(), "Still signed in")
	require.Empty(t, out.Result().Cookies())
	w.Set(func() { w.Broken["redis"] = false })
	out = jobstest.Form(h, "/logout", nil, cookie)
	require.Negative(t, out.Result().Cookies()[0].MaxAge)
	shown = httptest.NewRecorder()
	h.ServeHTTP(shown, page)
	require.Equal(t, 401, shown.Code, "it has ended for everybody who has the cookie")

	for _, evil := range []string{"//evil.example", "https://evil.example/", `/\evil.example`, "evil", "javascript:alert(1)", "/\t/evil", ""} {
		require.Equal(t, "/", jobstest.Form(h, "/login", url.Values{"key": {"one"}, "next": {evil}}).Header().Get("Location"), evil)
	}
}
