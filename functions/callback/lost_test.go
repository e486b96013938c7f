package callback_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/callback"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/restore"
	"github.com/zixly/sweepline/shared/wait"
)

// book is what a job store knows.
type book struct {
	jobs []job.Job
	err  error
}

func (b *book) Lookup(_ context.Context, ids []string) (out []job.Job, err error) {
	for _, j := range b.jobs {
		if j.JobID == ids[0] {
			out = append(out, j)
		}
	}
	return out, b.err
}

// Redis has lost the record while the sweep ran. Its callback, which comes once,
// ends the job all the same.
func TestACallbackOfALostJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	began := time.Now().Add(-time.Minute)
	add := func(s job.State) job.Job {
		return job.Job{
			JobID: job.NewID(), TenantID: "a", JobType: job.Type, Status: s, CreatedAt: began, StartedAt: &began, TradingJobID: "t-1", Attempts: 1,
			Parameters: job.Sweep{Ticker: "DAX", FastRange: [2]int{5, 20}, SlowRange: [2]int{20, 60}, Step: 5, MinTrades: 10, StrategyType: job.SMA},
		}
	}
	running, ended := add(job.Running), add(job.Failed)
	books := &book{jobs: []job.Job{running, ended}}
	lost, err := restore.New(books, b.waits, b.sink)
	require.NoError(t, err)
	f, err := callback.New(callback.Config{Secret: "the new secret of tests"}, b.waits, silent{}, b.sink, prometheus.NewRegistry(), callback.WithLost(lost))
	require.NoError(t, err)
	b.f = f
	post := func(id string) int {
		b.jobID = id
		return b.request(func(*http.Request) {}).Code
	}
	books.err = errors.New("away")
	require.Equal(t, http.StatusServiceUnavailable, post(running.JobID))
	books.err = nil
	require.Equal(t, http.StatusOK, post(running.JobID))
	require.Equal(t, http.StatusOK, post(running.JobID), "and again")
	require.Len(t, b.sink.events, 1)
	require.Equal(t, running.JobID+"/completed", b.sink.events[0].ID())
	r, err := b.waits.Get(t.Context(), running.JobID)
	require.NoError(t, err)
	require.Equal(t, wait.Completed, r.State)

	require.Equal(t, http.StatusOK, post(ended.JobID), "it is known and over")
	require.Equal(t, http.StatusNotFound, post(job.NewID()))
	require.Len(t, b.sink.events, 1)
}
