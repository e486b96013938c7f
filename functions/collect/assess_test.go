package collect_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
)

// A sweep of one page is judged before it is stored, and leaves no surface.
func TestASweepOfOnePage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.api.rows = jobstoretest.Rows(9)
	reply := b.end(t)
	d, err := event.Data[event.Collected](reply)
	require.NoError(t, err)
	rows := slices.Clone(b.api.rows)
	heatmap.JudgeRows(rows, b.header.Parameters.Step)
	require.NotNil(t, rows[0].NeighbourMedian)
	require.Equal(t, jobstore.Summarize(rows).Best, d.Best)
	packed, err := b.jobStore.Surface(t.Context(), "acme", b.header.JobID)
	require.NoError(t, err)
	require.Nil(t, packed)
	var stored []job.Row
	for r, err := range b.jobStore.Results(t.Context(), "acme", b.header.JobID, jobstore.RowQuery{}) {
		require.NoError(t, err)
		stored = append(stored, r)
	}
	require.Equal(t, jobstore.CleanAll(rows), stored)
}
