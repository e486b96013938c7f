package dashboard_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/dashboard"
	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/quota"
)

func TestAHeatMapIsDrawnOnceForAllWhoLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, drawnOnceForAllWhoLook)
}

func drawnOnceForAllWhoLook(t *testing.T) {
	w, _, h := setup(t, "")
	j := w.Stored("default", job.Completed)
	w.Rows = []job.Row{{FastPeriod: 5, SlowPeriod: 20, Score: 1}, {FastPeriod: 10, SlowPeriod: 30, Score: 2}}
	var reads atomic.Int32
	goOn := make(chan struct{})
	w.Reading = func(ctx context.Context, what string) error {
		if what != "rows" {
			return nil
		}
		reads.Add(1)
		select {
		case <-goOn:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	look := func(ctx context.Context) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "/jobs/"+j.JobID, http.NoBody))
		return rec
	}
	first, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { look(first) })
	synctest.Wait() // it is being drawn
	require.EqualValues(t, 1, reads.Load())
	pages := make(chan string, 20)
	for range cap(pages) {
		wg.Go(func() { pages <- look(t.Context()).Body.String() })
	}
	synctest.Wait() // all wait for the one drawing
	leave()         // the others still look
	synctest.Wait()
	close(goOn)
	wg.Wait()
	require.EqualValues(t, 1, reads.Load())
	for range cap(pages) {
		require.Contains(t, <-pages, "<svg")
	}
}

func TestDrawingEndsWithTheLastWhoLooks(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j := w.Stored("default", job.Completed)
	began, ended := make(chan struct{}), make(chan struct{})
	w.Reading = func(ctx context.Context, what string) error {
		if what == "rows" {
			close(began)
			<-ctx.Done()
			close(ended)
		}
		return ctx.Err()
	}
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-began
		leave()
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/jobs/"+j.JobID, http.NoBody))
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("rows are read for nobody")
	}
}

func TestPagesTellWhoAsksTooMuch(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one,globex:two")
	for range 21 {
		require.Equal(t, 401, jobstest.Form(h, "/login", url.Values{"key": {"guess"}}).Code)
	}
	r := jobstest.Form(h, "/login", url.Values{"key": {"guess"}})
	require.Equal(t, 429, r.Code)
	require.NotEmpty(t, r.Header().Get("Retry-After"))
	require.Contains(t, r.Body.String(), "Too many wrong keys")

	w.TakeErr = &quota.Exceeded{What: "open jobs", Limit: 7, RetryAfter: time.Minute}
	_, h = serve(t, dashboard.Config{}, w.Service(t, ""), dashboard.Deps{})
	r = jobstest.Form(h, "/new", url.Values{"ticker": {"DAX"}, "fast_from": {"5"}, "fast_to": {"10"}, "slow_from": {"20"}, "slow_to": {"30"}, "step": {"5"}})
	require.Equal(t, 429, r.Code)
	require.Equal(t, "60", r.Header().Get("Retry-After"))
	j := w.Stored("default", job.Failed)
	require.Equal(t, 429, jobstest.Form(h, "/jobs/"+j.JobID+"/retry", url.Values{"key": {"k"}}).Code)
}

// A page with a large map costs what a hundred others do, each time it is looked at.
func TestPagesWithLargeMapsAreLargeReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := jobstest.New()
		s := w.Shared(t, "acme:one,globex:two", jobs.Config{MaxStreams: 2, TenantReads: auth.Auto})
		_, h := serve(t, dashboard.Config{}, s, dashboard.Deps{})
		mapped := func(tenant string, periods int) job.Job {
			j := w.Stored(tenant, job.Completed)
			var rows []job.Row
			for fast := range periods {
				for slow := range periods {
					rows = append(rows, job.Row{FastPeriod: 1 + fast, SlowPeriod: 100 + slow, Score: float64(fast * slow)})
				}
			}
			w.Set(func() { w.Rows = rows })
			require.Equal(t, http.StatusOK, jobstest.Call(h, "GET", "/jobs/"+j.JobID, "X-API-Key", map[string]string{"acme": "one", "globex": "two"}[tenant]).Code)
			return j // its surface is remembered
		}
		large, small, theirs := mapped("acme", 40), mapped("acme", 3), mapped("globex", 40)
		release, err := s.TakeRead(t.Context(), "acme")
		require.NoError(t, err)
		_, err = s.TakeRead(t.Context(), "acme") // the other one
		require.NoError(t, err)
		look := func(path, key string) int { return jobstest.Call(h, "GET", path, "X-API-Key", key).Code }
		require.Equal(t, http.StatusTooManyRequests, look("/jobs/"+large.JobID, "one"))
		require.Equal(t, http.StatusTooManyRequests, look("/compare?a="+large.JobID+"&b="+large.JobID, "one"))
		require.Equal(t, http.StatusOK, look("/jobs/"+small.JobID, "one"))
		require.Equal(t, http.StatusOK, look("/compare?a="+small.JobID+"&b="+small.JobID, "one"))
		require.Equal(t, http.StatusOK, look("/jobs/"+theirs.JobID, "two"))
		release()
		for range 3 { // it is given back
			require.Equal(t, http.StatusOK, look("/jobs/"+large.JobID, "one"))
		}
	})
}
