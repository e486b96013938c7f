package main

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
)

func TestActOnManyFromTheCommandLine(t *testing.T) {
	t.Parallel()
	p := up(t, t.TempDir(), "--delay", "1h")
	var ids []string
	for range 3 {
		a, err := submit(t.Context(), p.client(), job.Sweep{Ticker: "SMI", FastRange: [2]int{5, 20}, SlowRange: [2]int{20, 60}, Step: 5, MinTrades: 10, StrategyType: job.EMA})
		require.NoError(t, err)
		ids = append(ids, a.JobID)
	}
	var out, errs string
	code := 0
	require.Eventually(t, func() bool { // the job store follows
		out, errs, code = command(t, p.url, "cancel", "--ticker", "smi", "--since", "1h", "--dry-run")
		return strings.Contains(out, "Dry run: 3 would be cancelled")
	}, time.Minute, 50*time.Millisecond, errs)
	require.Equal(t, exitDone, code)

	out, _, code = command(t, p.url, "cancel", ids[0], ids[1], "--json")
	require.Equal(t, exitDone, code)
	var r jobs.BulkResult
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, map[jobs.Outcome]int{jobs.Done: 2}, r.Counts)
	out, errs, code = command(t, p.url, "retry", ids[0], ids[2])
	require.Equal(t, exitFailed, code, "one has not failed")
	require.Contains(t, out, "1 retried, 1 not retried")
	require.Contains(t, errs, "1 of 2 jobs could not be changed in their state")
	out, _, code = command(t, p.url, "cancel", "--status", "queued,running")
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "2 cancelled")
	out, _, code = command(t, p.url, "cancel", "--status", "queued")
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "no job matches")
	count := func(status string) int {
		out, _, code := command(t, p.url, "jobs", "--json", "--status", status)
		require.Equal(t, exitDone, code)
		var page struct{ Jobs []json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte(out), &page))
		return len(page.Jobs)
	}
	require.Positive(t, count("cancelled"))
	require.Equal(t, count("cancelled")+count("failed"), count("cancelled,FAILED"))
	_, errs, code = command(t, p.url, "jobs", "--status", "failed,odd")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--status must be")
}

// A server that takes no more now is waited for, and what was done is not lost.
func TestAnActIsGoneOnWith(t *testing.T) {
	t.Parallel()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("cursor"))
		switch len(asked) {
		case 1:
			_, _ = w.Write([]byte(`{"jobs":[{"job_id":"a","outcome":"done","retried_by":"b"},{"job_id":"c","outcome":"postponed"}],"total":3,"next_cursor":"x","retry_after_seconds":1}`))
		case 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case 3:
			_, _ = w.Write([]byte(`{"jobs":[{"job_id":"a","outcome":"repeated","retried_by":"b"},{"job_id":"c","outcome":"done"}],"next_cursor":"x"}`))
		default:
			_, _ = w.Write([]byte(`{"jobs":[{"job_id":"d","outcome":"refused","reason":"it \u001b[31m ended"}]}`))
		}
	}))
	t.Cleanup(server.Close)
	out, errs, code := command(t, server.URL, "retry", "--status", "failed")
	require.Equal(t, exitDone, code)
	require.Equal(t, []string{"", "", "", "x"}, asked)
	require.Contains(t, out, "2 retried, 1 not retried")
	require.NotContains(t, out, "\x1b")
	require.Equal(t, 2, strings.Count(errs, "going on in 1s"))

	for _, c := range []struct{ seconds, wait int }{{-5, 0}, {0, 0}, {7, 7}, {1 << 62, 3600}, {-1 << 62, 0}} {
		wait, _, err := waitFor(c.seconds, nil)
		require.NoError(t, err)
		require.Equal(t, time.Duration(c.wait)*time.Second, wait)
	}

	asked = nil
	_, errs, code = command(t, server.URL+"/nowhere", "retry")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--status")
	require.Empty(t, asked)
	for _, args := range [][]string{{"retry", "id", "--status", "failed"}, {"cancel", "--since", "yesterday"}} {
		_, _, code = command(t, server.URL, args...)
		require.Equal(t, exitUsage, code, args)
	}
	require.Empty(t, asked)
}
