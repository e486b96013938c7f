package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/quota"
)

// A session that another process has begun (the dashboard's) names the tenant here,
// where both have the same secret.
func TestASessionOfTheDashboard(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	_, h := serve(t, w.Service(t, "acme:one,globex:two"))
	elsewhere := jobstest.New().Service(t, "acme:one,globex:two")
	in := httptest.NewRecorder()
	require.NoError(t, elsewhere.Sessions.Begin(in, httptest.NewRequest(http.MethodPost, "/login", http.NoBody), "one"))
	own, foreign := w.Stored("acme", job.Failed), w.Stored("globex", job.Failed)
	ask := func(method, path string, header ...string) int {
		r := httptest.NewRequest(method, path, http.NoBody)
		r.AddCookie(in.Result().Cookies()[0])
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec.Code
	}
	require.Equal(t, 200, ask("GET", "/api/jobs/"+own.JobID))
	require.Equal(t, 200, ask("GET", "/api/jobs/"+own.JobID+"/stream"))
	require.Equal(t, 404, ask("GET", "/api/jobs/"+foreign.JobID))
	require.Equal(t, 202, ask("POST", "/api/jobs/"+own.JobID+"/retry", "Sec-Fetch-Site", "same-origin"))
	require.Equal(t, 403, ask("POST", "/api/jobs/"+own.JobID+"/retry", "Sec-Fetch-Site", "cross-site"))
	require.Equal(t, 401, ask("GET", "/api/jobs/"+own.JobID, "X-API-Key", "three"), "a wrong key is not mended by a cookie")
}

func TestATenantWithAllItsJobsOpen(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	_, h := serve(t, w.Service(t, ""))
	w.TakeErr = &quota.Exceeded{What: "open jobs", Limit: 7, RetryAfter: time.Minute}
	j := w.Stored("default", job.Failed)
	r := jobstest.Call(h, "POST", "/api/jobs/"+j.JobID+"/retry")
	require.Equal(t, 429, r.Code)
	require.Equal(t, "60", r.Header().Get("Retry-After"))
	require.Equal(t, "7", r.Header().Get("RateLimit-Limit"))
}
