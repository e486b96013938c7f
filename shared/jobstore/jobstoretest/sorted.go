package jobstoretest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

func sortedRows(t *testing.T, l jobstore.Store) {
	h, other := Header("default"), Header("default")
	rows := Rows(900)
	for i := range rows {
		rows[i].WinRatePct = float64(i % 7)
	}
	Complete(t, l, h, rows)
	Complete(t, l, other, Rows(5))
	read := func(q jobstore.RowQuery) []job.Row {
		got, err := l.Rows(t.Context(), "default", h.JobID, q)
		require.NoError(t, err)
		return got
	}
	require.Equal(t, rowsOf(t, l, h, jobstore.ByScore)[:jobstore.DefaultLimit], read(jobstore.RowQuery{}), "best first")
	require.Equal(t, rowsOf(t, l, h, jobstore.ByScore)[850:], read(jobstore.RowQuery{By: "score", Offset: 850, Limit: 500}))
	require.Len(t, read(jobstore.RowQuery{Limit: 1 << 20}), jobstore.MaxRows)
	require.Equal(t, 0.0, read(jobstore.RowQuery{Ascending: true})[0].Score)
	require.Equal(t, read(jobstore.RowQuery{}), read(jobstore.RowQuery{By: "score; drop table pipeline_jobs"}), "no such column")
	for _, by := range jobstore.RowColumns {
		for _, up := range []bool{true, false} {
			got := read(jobstore.RowQuery{By: by, Ascending: up, Limit: 500})
			got = append(got, read(jobstore.RowQuery{By: by, Ascending: up, Limit: 500, Offset: 500})...)
			require.Len(t, got, 900, "each row once: "+by)
			seen := map[string]bool{}
			for _, r := range got {
				seen[r.ResultID] = true
			}
			require.Len(t, seen, 900, by)
		}
	}
	win := func(a, b job.Row) int { return int(a.WinRatePct - b.WinRatePct) }
	up := read(jobstore.RowQuery{By: "win_rate_pct", Ascending: true, Limit: 500})
	require.True(t, slices.IsSortedFunc(up, win))
	require.Greater(t, up[0].Score, up[1].Score, "equals come best first")
	down := read(jobstore.RowQuery{By: "win_rate_pct", Limit: 500})
	require.True(t, slices.IsSortedFunc(down, func(a, b job.Row) int { return win(b, a) }))
	require.Equal(t, 1, read(jobstore.RowQuery{By: "fast_period", Ascending: true})[0].FastPeriod)
	require.Empty(t, read(jobstore.RowQuery{Offset: 900}))

	for _, who := range [][2]string{{"other", h.JobID}, {"default", job.NewID()}, {"default", "x"}} {
		got, err := l.Rows(t.Context(), who[0], who[1], jobstore.RowQuery{})
		require.NoError(t, err)
		require.Equal(t, []job.Row{}, got)
	}
}
