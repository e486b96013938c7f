package api_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
)

func TestSurface(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j := w.Stored("default", job.Completed)
	j.Metrics = &job.Metrics{Combinations: 36}
	w.Jobs[j.JobID] = j
	var rows []job.Row
	for fast := range 6 {
		for slow := range 6 {
			rows = append(rows, job.Row{StrategyType: job.SMA, FastPeriod: fast + 1, SlowPeriod: slow + 10, Score: float64(fast*slow) / 7, TotalTrades: slow})
		}
	}
	want, ok := heatmap.OfRows(rows, j.Parameters.Step)
	require.True(t, ok)
	at := "/api/jobs/" + j.JobID + "/surface"

	w.Rows = rows // those of a sweep that was stored before there were surfaces
	r := jobstest.Call(h, "GET", at)
	require.Equal(t, 200, r.Code)
	got, err := heatmap.ParseSurface(r.Body.Bytes())
	require.NoError(t, err)
	require.Equal(t, want, got)

	stored := want
	stored.Top = rows[:3]
	w.Surface, err = stored.Encode()
	require.NoError(t, err)
	w.Rows, w.RowErr = nil, errors.New("the store is away")
	r = jobstest.Call(h, "GET", at)
	require.Equal(t, 200, r.Code)
	got, err = heatmap.ParseSurface(r.Body.Bytes())
	require.NoError(t, err)
	require.Equal(t, want, got, "without rows")

	w.Surface = nil
	require.Equal(t, 503, jobstest.Call(h, "GET", at).Code)
	w.Rows, w.RowErr = rows[:1], nil
	require.Equal(t, 404, jobstest.Call(h, "GET", at).Code, "too few rows")
	require.Equal(t, 400, jobstest.Call(h, "GET", at+"?metric=score").Code)
	for _, other := range []string{w.Stored("default", job.Running).JobID, w.Stored("other", job.Completed).JobID, job.NewID()} {
		require.Equal(t, 404, jobstest.Call(h, "GET", "/api/jobs/"+other+"/surface").Code)
	}
}
