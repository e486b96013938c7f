package jobstoretest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

func assessedRows(t *testing.T, l jobstore.Store) {
	h := Header("default")
	rows := Rows(25)
	nine := 9
	rows[3].SignalPeriod = &nine
	worst := -1.25
	rows[7].NeighbourWorst = &worst // as rows of one page come
	apply(t, l, Life(t, h).Completed)
	for _, p := range pagesOf(h, rows, 10) {
		store(t, l, p)
	}
	surface := func(tenant string) []byte {
		s, err := l.Surface(t.Context(), tenant, h.JobID)
		require.NoError(t, err)
		return s
	}
	require.Nil(t, surface("default"))
	signal := int32(nine)
	a := jobstore.Assessment{Surface: []byte{0, 1, 0xff}, Neighbours: []jobstore.Neighbours{
		{Fast: 1, Slow: 2, Worst: -1.5, Median: 2.0000004},
		{Fast: 1, Slow: 5, Worst: 9, Median: 9}, // which has a signal period
		{Fast: 1, Slow: 5, Signal: &signal, Worst: 3, Median: 4},
		{Fast: 400, Slow: 500, Worst: 1, Median: 1}, // of no row
	}}
	for range 2 {
		require.NoError(t, l.Assess(t.Context(), h, a))
	}
	check := func() {
		require.Equal(t, a.Surface, surface("default"))
		require.Nil(t, surface("other"))
		for _, r := range rowsOf(t, l, h, jobstore.ByPeriods) {
			switch r.SlowPeriod {
			case 2:
				require.Equal(t, []float64{-1.5, 2}, []float64{*r.NeighbourWorst, *r.NeighbourMedian})
			case 5:
				require.Equal(t, []float64{3, 4}, []float64{*r.NeighbourWorst, *r.NeighbourMedian})
			case 9:
				require.Equal(t, worst, *r.NeighbourWorst)
				require.Nil(t, r.NeighbourMedian)
			default:
				require.Nil(t, r.NeighbourWorst)
			}
		}
	}
	check()
	got, err := l.Rows(t.Context(), "default", h.JobID, jobstore.RowQuery{By: "worst", Limit: 3})
	require.NoError(t, err)
	require.Equal(t, []int{5, 9, 2}, []int{got[0].SlowPeriod, got[1].SlowPeriod, got[2].SlowPeriod}, "rows without come last")
	n, err := l.CountRows(t.Context(), "default", h.JobID, jobstore.RowQuery{Where: []jobstore.Condition{{Column: "worst", Operator: "<", Value: 100}}})
	require.NoError(t, err)
	require.Equal(t, 3, n)

	foreign := h
	foreign.TenantID = "other"
	require.NoError(t, l.Assess(t.Context(), foreign, jobstore.Assessment{Surface: []byte("theirs"), Neighbours: []jobstore.Neighbours{{Fast: 1, Slow: 2}}}))
	require.NoError(t, l.Assess(t.Context(), Header("default"), a), "nothing is known of it")
	check()
	finish(t, l, Collected(t, h, rows))
	require.NoError(t, l.Assess(t.Context(), h, jobstore.Assessment{Surface: []byte("late"), Neighbours: []jobstore.Neighbours{{Fast: 1, Slow: 2}}}))
	check()
	many := Header("default")
	apply(t, l, Life(t, many).Completed)
	for _, p := range pagesOf(many, Rows(6000), 3000) {
		store(t, l, p)
	}
	a.Neighbours = nil
	for _, r := range Rows(6000) {
		a.Neighbours = append(a.Neighbours, jobstore.Neighbours{Fast: int32(r.FastPeriod), Slow: int32(r.SlowPeriod), Worst: r.Score, Median: r.Score})
	}
	require.NoError(t, l.Assess(t.Context(), many, a))
	for _, r := range rowsOf(t, l, many, jobstore.ByPeriods) {
		require.Equal(t, r.Score, *r.NeighbourWorst)
	}
	for _, id := range []string{"x", job.NewID()} {
		s, err := l.Surface(t.Context(), "default", id)
		require.NoError(t, err)
		require.Nil(t, s)
	}
}
