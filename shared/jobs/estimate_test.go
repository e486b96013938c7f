package jobs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/wait"
)

// A list says of open jobs what a look at each would, by one read of their records.
func TestLive(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	s := w.OperatedService(t, "acme:one", "acme")
	ctx := auth.NewContext(t.Context(), "acme")
	at := func(d time.Duration) *time.Time { at := jobstest.Created.Add(d); return &at }
	for range 3 { // each ran for a minute: so do those that are queued
		j := w.Stored("acme", job.Completed)
		j.StartedAt, j.CompletedAt = at(-2*time.Minute), at(-time.Minute)
		w.Jobs[j.JobID] = j
	}
	seconds := func(f jobs.Found) float64 {
		if f.ETA == nil {
			return 0
		}
		return f.ETA.Sub(jobstest.Created).Seconds()
	}
	var stored []job.Job
	for name, c := range map[string]struct {
		status         job.State
		record         wait.Record
		progress       int
		place          int
		eta            float64
		withoutRecords bool
	}{
		"by its progress":         {status: job.Running, record: wait.Record{State: wait.Waiting, Progress: 25, StartedAt: *at(-time.Minute)}, progress: 25, eta: 180},
		"by the API's estimate":   {status: job.Running, record: wait.Record{State: wait.Waiting, Progress: 5, StartedAt: *at(-time.Minute), EstimatedSeconds: 100}, progress: 5, eta: 40},
		"nothing tells":           {status: job.Running, record: wait.Record{State: wait.Waiting, Progress: 5, StartedAt: *at(-time.Minute)}, progress: 5},
		"the estimate has passed": {status: job.Running, record: wait.Record{State: wait.Waiting, StartedAt: *at(-time.Minute), EstimatedSeconds: 20}},
		"results on their way":    {status: job.Running, record: wait.Record{State: wait.Completed, Progress: 100, StartedAt: *at(-time.Minute), EstimatedSeconds: 100}, progress: 100},
		"queued":                  {status: job.Queued, record: wait.Record{State: wait.Parked, Place: 10}, place: 10, eta: 180}, // 5 slots
		"on its way":              {status: job.Queued, record: wait.Record{State: wait.Accepted}},
		"without a record":        {status: job.Running, withoutRecords: true},
	} {
		h := w.Recorded("acme")
		c.record.Header = h
		w.Records[h.JobID] = c.record
		if c.withoutRecords {
			delete(w.Records, h.JobID)
		}
		j := job.Job{JobID: h.JobID, TenantID: "acme", Status: c.status, Parameters: jobstest.Sweep, CreatedAt: *at(-90 * time.Second)}
		w.Jobs[h.JobID] = j
		stored = append(stored, j)
		for _, f := range s.Live(ctx, []job.Job{j}) {
			require.Equal(t, c.progress, f.Progress, name)
			require.Equal(t, c.place, f.Place, name)
			require.InDelta(t, c.eta, seconds(f), 0, name)
			require.InDelta(t, 90, f.ElapsedSeconds, 0, name)
			one, err := s.Find(ctx, h.JobID)
			require.NoError(t, err)
			require.Equal(t, f, one, name)
		}
	}
	w.Reads = 0
	done := w.Stored("acme", job.Completed)
	live := s.Live(ctx, append(stored, done))
	require.Equal(t, 1, w.Reads, "one read for all")
	require.Equal(t, jobs.Found{Job: done, DisplayStatus: job.Completed, Settled: true}, live[len(live)-1])
	s.Live(ctx, []job.Job{done})
	require.Equal(t, 1, w.Reads, "none for jobs that have ended")

	w.Broken["redis"] = true
	for _, f := range s.Live(ctx, stored) {
		require.Zero(t, f.Progress)
		require.NotZero(t, f.ElapsedSeconds)
	}
}

// How long a queued job may take tells how much others want, as its place does.
func TestPlacesAndTimesInLineAreForOperators(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	s := w.OperatedService(t, "acme:one,ops:two", "ops")
	ctx := auth.NewContext(t.Context(), "acme")
	ran := w.Stored("acme", job.Completed)
	ended := jobstest.Created.Add(time.Minute)
	ran.StartedAt, ran.CompletedAt = &jobstest.Created, &ended
	w.Jobs[ran.JobID] = ran
	h := w.Recorded("acme")
	w.Records[h.JobID] = wait.Record{Header: h, State: wait.Parked, Place: 3}
	j, err := s.Find(ctx, h.JobID)
	require.NoError(t, err)
	require.Zero(t, j.Place)
	require.Nil(t, j.ETA)
}
