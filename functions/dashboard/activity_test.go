package dashboard_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
)

// The page draws and tells how many jobs came and how long they took; the page of jobs
// takes its charts from there.
func TestActivityPage(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "a:0123456789abcdef,b:fedcba9876543210")
	now := time.Now().UTC()
	ended := func(tenant string, status job.State, code job.ErrorCode, took time.Duration) {
		j := w.Stored(tenant, status)
		end := now
		j.CreatedAt, j.CompletedAt, j.ErrorCode = now.Add(-took), &end, code
		w.Set(func() { w.Jobs[j.JobID] = j })
	}
	ended("a", job.Completed, "", 90*time.Second)
	ended("a", job.Failed, job.Cancelled, 0)
	ended("a", job.Failed, job.TimedOut, 0)
	ended("b", job.Completed, "", 2*time.Hour)

	page := jobstest.Call(h, "GET", "/activity", "X-API-Key", "0123456789abcdef")
	require.Equal(t, 200, page.Code)
	body := page.Body.String()
	require.Contains(t, body, "last 30 days: 1 completed, 1 failed, 1 cancelled")
	require.Contains(t, body, "half took up to 1 min 30 s, 95 % up to 1 min 30 s")
	require.NotContains(t, body, "2 h", "another tenant's")
	require.Contains(t, body, `<rect class="off"`)
	require.Contains(t, jobstest.Call(h, "GET", "/", "X-API-Key", "0123456789abcdef").Body.String(), `data-part="/activity"`)
	require.NotContains(t, jobstest.Call(h, "GET", "/?ticker=DAX", "X-API-Key", "0123456789abcdef").Body.String(), "data-part", "they are of all jobs")

	ended("a", job.Completed, "", time.Second)
	require.Equal(t, body, jobstest.Call(h, "GET", "/activity", "X-API-Key", "0123456789abcdef").Body.String(), "counted once a minute")
	require.Contains(t, jobstest.Call(h, "GET", "/activity", "X-API-Key", "fedcba9876543210").Body.String(), "2 h")

	w.Set(func() { w.Broken["job store"] = true })
	require.Equal(t, 401, jobstest.Call(h, "GET", "/activity").Code)
	_, _, h = setup(t, "")
	require.Contains(t, jobstest.Call(h, "GET", "/activity").Body.String(), "last 24 hours: none completed")
}
