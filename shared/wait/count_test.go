package wait_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/admission"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/wait"
)

func TestCountReportsOverdueAndAPIFailures(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{})
		_, err := w.Enter(t.Context(), header("acme"))
		require.NoError(t, err)
		count := func() wait.Counts {
			n, err := w.Count(t.Context())
			require.NoError(t, err)
			return n
		}
		require.Zero(t, count().Overdue)
		require.Zero(t, count().APIFailures)
		c.advance(time.Hour) // nobody came
		require.EqualValues(t, 1, count().Overdue)
		_, err = w.Due(t.Context(), 10, 30*time.Second)
		require.NoError(t, err)
		require.Zero(t, count().Overdue, "somebody looks at it")

		_, err = w.Report(t.Context(), admission.Submissions, false, 0)
		require.NoError(t, err)
		require.EqualValues(t, 1, count().APIFailures)
		_, err = w.Report(t.Context(), admission.Submissions, true, 0)
		require.NoError(t, err)
		require.Zero(t, count().APIFailures)
	})
}

func TestParkedAtIsWhenItWasQueued(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{MaxConcurrent: 1})
		first, err := w.Enter(t.Context(), header("acme"))
		require.NoError(t, err)
		require.Equal(t, wait.FindFirst, first.Decision, "nobody has accepted it, so it may be at the API")
		c.advance(time.Minute)
		second, err := w.Enter(t.Context(), header("acme"))
		require.NoError(t, err)
		require.Equal(t, wait.Queued, second.Decision)
		require.Equal(t, start.Add(time.Minute), second.Record.ParkedAt)

		c.advance(time.Minute)
		require.NoError(t, w.Requeue(t.Context(), first.Record, wait.RequeueReason{Delay: time.Second}))
		back, err := w.Get(t.Context(), first.Record.Header.JobID)
		require.NoError(t, err)
		require.Equal(t, wait.Parked, back.State)
		require.Equal(t, start.Add(2*time.Minute), back.ParkedAt, "since it is back, not since it came")
	})
}

func TestRecordsAreThoseOfGet(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, _ := open(t, url, wait.Config{MaxConcurrent: 1})
		var ids []string
		for i := range 4 { // one at the API, three queued, of two tenants
			h := header([]string{"acme", "globex"}[i%2])
			_, err := w.Accept(t.Context(), h, "")
			require.NoError(t, err)
			_, err = w.Enter(t.Context(), h)
			require.NoError(t, err)
			ids = append(ids, h.JobID)
		}
		found, err := w.Records(t.Context(), append(ids, job.NewID(), "no id")...)
		require.NoError(t, err)
		require.Len(t, found, len(ids))
		places := map[int]bool{}
		for _, id := range ids {
			one, err := w.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, one, found[id])
			places[one.Place] = true
		}
		require.Equal(t, map[int]bool{0: true, 1: true, 2: true, 3: true}, places)
		none, err := w.Records(t.Context())
		require.NoError(t, err)
		require.Empty(t, none)
	})
}
