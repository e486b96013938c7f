package dashboard_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/dashboard"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
)

// A dashboard on a host of its own answers all that its pages link to and listen
// at, by the session alone. The rest of the API is not its.
func TestPagesLinkToNothingElse(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	svc := w.Service(t, "acme:one,globex:two")
	_, h := serve(t, dashboard.Config{}, svc, dashboard.Deps{})
	open, done, foreign := w.Recorded("acme"), w.Stored("acme", job.Completed), w.Stored("globex", job.Completed)
	w.Events[done.JobID] = []job.TimelineEvent{{ID: "1", Type: "com.zixly.sweep.requested.v1", Time: jobstest.Created}}
	w.Rows = []job.Row{{FastPeriod: 10, SlowPeriod: 20}}
	big := jobstest.DeadLetter("big", "acme", jobstest.Created)
	require.NoError(t, big.Event.SetData("text/plain", make([]byte, 8<<10)))
	w.DeadLetters = append(w.DeadLetters, big)
	session := jobstest.Form(h, "/login", url.Values{"key": {"one"}}).Result().Cookies()[0]
	get := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		r.AddCookie(session)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec
	}
	svc.Drain() // streams end after their first event
	found := map[string]bool{}
	for _, page := range []string{"/", "/jobs/" + open.JobID, "/jobs/" + done.JobID, "/dead-letters"} {
		r := get(page)
		require.Equal(t, 200, r.Code, page)
		for _, m := range regexp.MustCompile(`(?:href|data-stream|data-overview)="(/api/[^"]*)"`).FindAllStringSubmatch(r.Body.String(), -1) {
			found[m[1]] = true
			require.Equal(t, 200, get(m[1]).Code, m[1])
			require.Equal(t, 401, jobstest.Call(h, "GET", m[1]).Code, m[1])
		}
	}
	for _, want := range []string{
		"/api/stream", "/api/jobs/" + open.JobID + "/stream", "/api/jobs/" + done.JobID + "/events", "/api/jobs/" + done.JobID + "/results.csv",
		"/api/dead-letters/big",
	} {
		require.True(t, found[want], "%s in %v", want, found)
	}
	require.Equal(t, 404, get("/api/jobs/"+foreign.JobID+"/events").Code)
	for _, path := range []string{"/api/jobs", "/api/jobs/" + done.JobID, "/webhook/jobs/" + done.JobID, "/api/broker"} {
		require.Equal(t, 404, get(path).Code, path)
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	_, _, h := setup(t, "")
	for path, kind := range map[string]string{"/assets/app.css": "text/css", "/assets/app.js": "javascript", "/assets/favicon.svg": "image/svg+xml"} {
		r := jobstest.Call(h, "GET", path)
		require.Equal(t, 200, r.Code, path)
		require.Contains(t, r.Header().Get("Content-Type"), kind)
	}
	require.Equal(t, 301, jobstest.Call(h, "GET", "/favicon.ico").Code)
	for _, c := range []struct {
		method, path string
		want         int
		allow        string
	}{{"PUT", "/", 405, "GET, HEAD"}, {"GET", "/assets/", 404, ""}, {"GET", "/assets/%ff", 404, ""}, {"GET", "/nowhere", 404, ""}} {
		r := jobstest.Call(h, c.method, c.path)
		require.Equal(t, c.want, r.Code, c)
		require.Equal(t, c.allow, r.Header().Get("Allow"), c)
		require.Contains(t, r.Body.String(), `"timestamp"`)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	require.Equal(t, 200, jobstest.Call(h, "GET", "/readyz").Code)
	w.Broken["job store"], w.Broken["redis"] = true, true
	require.Contains(t, jobstest.Call(h, "GET", "/readyz").Body.String(), "missing: job store, redis")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := dashboard.New(dashboard.Config{}, nil, dashboard.Deps{})
	require.Error(t, err)
	_, err = dashboard.New(dashboard.Config{TraceURL: "x"}, jobstest.New().Service(t, ""), dashboard.Deps{})
	require.ErrorContains(t, err, "TRACE_URL")
}
