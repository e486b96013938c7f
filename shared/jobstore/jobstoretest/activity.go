package jobstoretest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// activity: jobs are counted where they were created, and timed to where they ended.
func activity(t *testing.T, l jobstore.Store) {
	in := jobstore.LatestIntervals(Start.Add(150*time.Minute), time.Hour, 3)
	require.True(t, in.Until().After(Start.Add(150*time.Minute)))
	at := func(hours int, more time.Duration) time.Time {
		return in.From.Add(time.Duration(hours)*time.Hour + more)
	}
	create := func(tenant string, created time.Time) job.Header {
		h := Header(tenant)
		h.CreatedAt = created
		apply(t, l, Life(t, h).Requested)
		return h
	}
	create("default", at(0, -time.Microsecond)) // before them
	create("default", at(3, 0))                 // after them
	create("other", at(1, 0))
	create("default", at(0, 0))
	for i := range 20 {
		h := create("default", at(1, time.Duration(i)*time.Second))
		c := collected(h, nil)
		c.CompletedAt = h.CreatedAt.Add(time.Duration(i+1) * time.Minute)
		e, err := event.NewCollected(c)
		require.NoError(t, err)
		finish(t, l, e)
	}
	failed := create("default", at(1, time.Hour-time.Microsecond))
	finish(t, l, Life(t, failed).Failed)
	dropped := create("default", at(2, 0))
	e, err := event.NewFailed(event.Failed{Header: dropped, ErrorCode: job.Cancelled, ErrorMessage: "cancelled by its owner", FailedAt: dropped.CreatedAt, Via: event.ViaOwner})
	require.NoError(t, err)
	finish(t, l, e)

	got, err := l.Activity(t.Context(), "default", in)
	require.NoError(t, err)
	require.Equal(t, []jobstore.Interval{
		{Begin: at(0, 0), Jobs: map[job.State]int{job.Queued: 1}},
		{Begin: at(1, 0), Jobs: map[job.State]int{job.Completed: 20, job.Failed: 1}, Median: 10 * time.Minute, P95: 19 * time.Minute},
		{Begin: at(2, 0), Jobs: map[job.State]int{job.ShownCancelled: 1}},
	}, got)
	require.Equal(t, 21, got[1].Total())
	got, err = l.Activity(t.Context(), "nobody", in)
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.Zero(t, got[1].Total())
}
