package jobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/jobstore"
)

func TestFindMovesAJobForwardByItsRecord(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	s := w.Service(t, "")
	ctx := auth.NewContext(t.Context(), "acme")
	h := w.Recorded("acme")
	find := func() jobs.Found {
		j, err := s.Find(ctx, h.JobID)
		require.NoError(t, err)
		return j
	}
	require.Equal(t, job.Queued, find().Status, "before the job store knows it")
	w.Jobs[h.JobID] = job.Job{JobID: h.JobID, TenantID: "acme", Status: job.Running, Progress: 50}
	require.Equal(t, job.Running, find().Status, "never back")
	w.Records[h.JobID] = jobstest.Ended(h)
	j := find()
	require.Equal(t, job.Running, j.Status, "its results are on their way")
	require.True(t, j.Ending)
	require.False(t, j.Settled)
	require.Equal(t, 100, j.Progress)
	w.Jobs[h.JobID] = job.Job{JobID: h.JobID, TenantID: "acme", Status: job.Completed}
	require.True(t, find().Settled)
	for _, other := range []context.Context{auth.NewContext(t.Context(), "globex"), t.Context()} {
		_, err := s.Find(other, h.JobID)
		require.ErrorIs(t, err, jobs.ErrNoJob)
	}
}

func TestActsThatTheStateDoesNotAllow(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	s := w.Service(t, "")
	ctx := auth.NewContext(t.Context(), "acme")
	var no jobs.Conflict
	_, err := s.Cancel(ctx, w.Stored("acme", job.Completed).JobID)
	require.ErrorAs(t, err, &no)
	_, err = s.Retry(ctx, w.Stored("acme", job.Running).JobID, "")
	require.ErrorAs(t, err, &no)
	_, err = s.Retry(ctx, w.Stored("globex", job.Failed).JobID, "")
	require.ErrorIs(t, err, jobs.ErrNoJob)
	require.Empty(t, w.Acts)
	require.Empty(t, w.Taken)
}

// Counts are kept for STREAM_REFRESH, tenants apart; those last known stand in where
// the job store is away.
func TestCountsAreKept(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	s, err := jobs.New(jobs.Config{Heartbeat: time.Second, MaxStreams: 1, Refresh: time.Hour}, w.Deps(t, ""))
	require.NoError(t, err)
	acme, globex := auth.NewContext(t.Context(), "acme"), auth.NewContext(t.Context(), "globex")
	w.Stored("acme", job.Failed)
	require.Eventually(t, func() bool { return s.Counts(acme, jobstore.Query{})[job.Failed] == 1 }, time.Minute, time.Millisecond)
	w.Stored("acme", job.Failed)
	require.Equal(t, map[job.State]int{job.Failed: 1}, s.Counts(acme, jobstore.Query{}))
	require.Eventually(t, func() bool { return s.Counts(acme, jobstore.Query{Ticker: "DAX"})[job.Failed] == 2 }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { c := s.Counts(globex, jobstore.Query{}); return c != nil && len(c) == 0 }, time.Minute, time.Millisecond)
	w.Set(func() { w.Broken["job store"] = true })
	require.Equal(t, map[job.State]int{job.Failed: 1}, s.Counts(acme, jobstore.Query{}))
	require.NoError(t, s.Stop(t.Context()))
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	d := jobstest.New().Deps(t, "")
	for _, c := range []struct {
		cfg  jobs.Config
		d    jobs.Deps
		want string
	}{
		{jobs.Config{Heartbeat: 1, MaxStreams: 1}, jobs.Deps{}, "job store"},
		{jobs.Config{Heartbeat: -1}, d, "STREAM_HEARTBEAT"},
		{jobs.Config{MaxStreams: -1}, d, "STREAM_MAX"},
		{jobs.Config{Heartbeat: 1, MaxStreams: 1, Refresh: -1}, d, "STREAM_REFRESH"},
	} {
		_, err := jobs.New(c.cfg, c.d)
		require.ErrorContains(t, err, c.want)
	}
}
