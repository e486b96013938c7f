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
	require.Len(t, read(jobstore.RowQuery{Limit: 1 << 20}), 900)
	require.Equal(t, 0.0, read(jobstore.RowQuery{Ascending: true})[0].Score)
	require.Equal(t, read(jobstore.RowQuery{}), read(jobstore.RowQuery{By: "score; drop table pipeline_jobs"}), "no such column")
	for _, column := range jobstore.RowColumns {
		by := column.Name
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

	// Conditions.
	where := func(conditions ...jobstore.Condition) jobstore.RowQuery {
		return jobstore.RowQuery{Where: conditions, Limit: 1000}
	}
	for _, c := range []struct {
		q    jobstore.RowQuery
		want int
	}{
		{where(jobstore.Condition{Column: "total_trades", Operator: ">=", Value: 900}), 60},
		{where(jobstore.Condition{Column: "trades", Operator: ">", Value: 900.5}), 59},
		{where(jobstore.Condition{Column: "score", Operator: "=", Value: 0.1}), 1},
		{where(jobstore.Condition{Column: "score", Operator: "!=", Value: 0.1}), 899},
		{where(jobstore.Condition{Column: "fast", Operator: "<=", Value: 2}, jobstore.Condition{Column: "slow", Operator: "<", Value: 12}), 20},
		{where(jobstore.Condition{Column: "signal", Operator: ">=", Value: 0}), 0}, // they have none
		{where(jobstore.Condition{Column: "sharpe", Operator: "<", Value: -1e14}), 0},
	} {
		require.Len(t, read(c.q), c.want, c.q)
		n, err := l.CountRows(t.Context(), "default", h.JobID, c.q)
		require.NoError(t, err)
		require.Equal(t, c.want, n, c.q)
	}
	require.Empty(t, read(jobstore.RowQuery{Where: where(jobstore.Condition{Column: "trades", Operator: ">=", Value: 900}).Where, Offset: 60}))
	for _, c := range []jobstore.Condition{{Column: "job_id", Operator: "="}, {Column: "score", Operator: "or 1 ="}} {
		_, err := l.Rows(t.Context(), "default", h.JobID, where(c))
		require.Error(t, err)
		_, err = l.CountRows(t.Context(), "default", h.JobID, where(c))
		require.Error(t, err)
	}

	for _, who := range [][2]string{{"other", h.JobID}, {"default", job.NewID()}, {"default", "x"}} {
		got, err := l.Rows(t.Context(), who[0], who[1], jobstore.RowQuery{})
		require.NoError(t, err)
		require.Equal(t, []job.Row{}, got)
		n, err := l.CountRows(t.Context(), who[0], who[1], jobstore.RowQuery{})
		require.NoError(t, err)
		require.Zero(t, n)
	}
}
