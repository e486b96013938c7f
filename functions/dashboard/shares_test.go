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
	"github.com/zixly/sweepline/shared/job"
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
