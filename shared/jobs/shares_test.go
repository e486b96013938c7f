package jobs_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/quota"
)

func shared(t *testing.T, cfg jobs.Config) (*jobstest.World, *jobs.Service, http.Handler) {
	t.Helper()
	w := jobstest.New()
	s := w.Shared(t, "acme:one,globex:two", cfg)
	mux := http.NewServeMux()
	s.Linked(mux)
	return w, s, s.Guard(mux)
}

func requireShare(t *testing.T, w *httptest.ResponseRecorder, limit, after string) {
	t.Helper()
	require.Equal(t, 429, w.Code)
	for name, want := range map[string]string{"Retry-After": after, "RateLimit-Limit": limit, "RateLimit-Remaining": "0", "RateLimit-Reset": after} {
		require.Equal(t, want, w.Header().Get(name), name)
	}
	require.Contains(t, w.Body.String(), `"code":"too_many_requests"`)
}

func TestATenantLeavesStreamsToOthers(t *testing.T) {
	t.Parallel()
	_, s, h := shared(t, jobs.Config{MaxStreams: 4, TenantStreams: auth.Auto})
	t.Cleanup(s.Drain)
	for range 2 {
		_, code := jobstest.OpenPath(t, h, "/api/stream", "X-API-Key", "one")
		require.Equal(t, 200, code)
	}
	requireShare(t, jobstest.Call(h, "GET", "/api/stream", "X-API-Key", "one"), "2", "5")
	for range 2 {
		_, code := jobstest.OpenPath(t, h, "/api/stream", "X-API-Key", "two")
		require.Equal(t, 200, code)
	}
	s.Drain()
	require.Eventually(t, func() bool { return jobstest.Call(h, "GET", "/api/stream", "X-API-Key", "one").Code == 200 }, time.Minute, time.Millisecond,
		"streams that end are given back")
}

func TestWhoIsAloneHasAllStreams(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	s := w.Shared(t, "acme:one", jobs.Config{MaxStreams: 2, TenantStreams: auth.Auto})
	mux := http.NewServeMux()
	s.Linked(mux)
	t.Cleanup(s.Drain)
	for range 2 {
		_, code := jobstest.OpenPath(t, mux, "/api/stream", "X-API-Key", "one")
		require.Equal(t, 200, code)
	}
	require.Equal(t, 503, jobstest.Call(mux, "GET", "/api/stream", "X-API-Key", "one").Code)
}

// held has reads of rows wait until their asker has gone, and counts them.
func held(w *jobstest.World, what string) *atomic.Int32 {
	var running atomic.Int32
	w.Set(func() {
		w.Reading = func(ctx context.Context, kind string) error {
			if kind != what {
				return nil
			}
			running.Add(1)
			defer running.Add(-1)
			<-ctx.Done()
			return context.Cause(ctx)
		}
	})
	return &running
}

func TestATenantReadsSoMuchAtOnce(t *testing.T) {
	t.Parallel()
	w, _, h := shared(t, jobs.Config{MaxStreams: 1, TenantReads: auth.Auto})
	own, foreign := w.Stored("acme", job.Completed), w.Stored("globex", job.Completed)
	running := held(w, "rows")
	path := "/api/jobs/" + own.JobID + "/results.csv"
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	for range 2 {
		go func() {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
			r.Header.Set("X-API-Key", "one")
			h.ServeHTTP(httptest.NewRecorder(), r)
			done <- struct{}{}
		}()
	}
	require.Eventually(t, func() bool { return running.Load() == 2 }, time.Minute, time.Millisecond)
	requireShare(t, jobstest.Call(h, "GET", path, "X-API-Key", "one"), "2", "2")
	require.EqualValues(t, 2, running.Load())

	other, gone := context.WithCancel(t.Context())
	go func() {
		r := httptest.NewRequestWithContext(other, http.MethodGet, "/api/jobs/"+foreign.JobID+"/results.csv", http.NoBody)
		r.Header.Set("X-API-Key", "two")
		h.ServeHTTP(httptest.NewRecorder(), r)
		done <- struct{}{}
	}()
	require.Eventually(t, func() bool { return running.Load() == 3 }, time.Minute, time.Millisecond, "another tenant has its own")

	leave() // reads end with their askers
	gone()
	for range 3 {
		<-done
	}
	require.Zero(t, running.Load())
	w.Set(func() { w.Reading = nil })
	require.Equal(t, 200, jobstest.Call(h, "GET", path, "X-API-Key", "one").Code)
}

func TestATenantCountsOneFilterAtATime(t *testing.T) {
	t.Parallel()
	w, s, _ := shared(t, jobs.Config{MaxStreams: 1, TenantReads: auth.Auto})
	running := held(w, "counts")
	acme, globex := auth.NewContext(t.Context(), "acme"), auth.NewContext(t.Context(), "globex")
	for _, ticker := range []string{"A", "B", "C", "D", "E"} {
		ctx, leave := context.WithTimeout(acme, time.Millisecond)
		require.Nil(t, s.Counts(ctx, jobstore.Query{Ticker: ticker}))
		leave()
	}
	require.Eventually(t, func() bool { return running.Load() == 1 }, time.Minute, time.Millisecond)
	s.Counts(globex, jobstore.Query{Ticker: "A"})
	require.EqualValues(t, 2, running.Load(), "another tenant has its own")
}

// A list that has to look at every job of the tenant, and rows that have to be sorted,
// are large reads: one tenant's searches on every connection would keep others waiting.
func TestATenantSearchesSoMuchAtOnce(t *testing.T) {
	t.Parallel()
	w, s, _ := shared(t, jobs.Config{MaxStreams: 1, TenantReads: auth.Auto})
	acme, globex := auth.NewContext(t.Context(), "acme"), auth.NewContext(t.Context(), "globex")
	small, large := w.Stored("acme", job.Completed), w.Stored("acme", job.Completed)
	small.Metrics, large.Metrics = &job.Metrics{Combinations: 100}, &job.Metrics{Combinations: 124_750}
	for range 2 {
		release, err := s.TakeRead(acme, "acme")
		require.NoError(t, err)
		t.Cleanup(release)
	}
	for name, read := range map[string]func() error{
		"text":   func() error { _, err := s.List(acme, jobstore.Query{Text: "x"}); return err },
		"states": func() error { _, err := s.List(acme, jobstore.Query{Status: []job.State{job.Queued}}); return err },
		"acts": func() error {
			_, err := s.Many(acme, jobs.Bulk{Act: jobs.ActRetry, Query: jobstore.Query{Status: []job.State{job.Failed}}})
			return err
		},
		"acts by ids": func() error {
			_, err := s.Many(acme, jobs.Bulk{Act: jobs.ActRetry, IDs: []string{small.JobID}})
			return err
		},
		"dead letters by ids": func() error {
			_, err := s.ManyLetters(acme, jobs.BulkLetters{Act: jobs.ActDiscard, IDs: []string{"1"}, DryRun: true})
			return err
		},
		"rows": func() error { _, _, err := s.CountedRows(acme, large, jobstore.RowQuery{Limit: 10}); return err },
		"dead letters": func() error {
			_, _, err := s.OwnDeadLetters(acme, jobs.LetterFilter{}, 10, "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var full *quota.Exceeded
			require.ErrorAs(t, read(), &full)
		})
	}
	_, err := s.List(acme, jobstore.Query{Ticker: "DAX"})
	require.NoError(t, err, "an index serves it")
	_, _, err = s.CountedRows(acme, small, jobstore.RowQuery{Limit: 10})
	require.NoError(t, err)
	_, err = s.List(globex, jobstore.Query{Text: "x"})
	require.NoError(t, err, "another tenant has its own")
}
