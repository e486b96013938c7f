package jobstoretest

import (
	"fmt"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// Pending reads all pending jobs: those that have not ended, and those of whose
// end nobody was told.
func Pending(t testing.TB, l jobstore.Store) (open, unnotified []job.Job) {
	t.Helper()
	for _, j := range walk(t, l, 100) {
		if j.Status.Terminal() {
			unnotified = append(unnotified, j)
		} else {
			open = append(open, j)
		}
	}
	return open, unnotified
}

// walk reads all pages.
func walk(t testing.TB, l jobstore.Store, limit int) (all []job.Job) {
	t.Helper()
	for after := ""; ; {
		jobs, err := l.PendingPage(t.Context(), after, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(jobs), limit)
		if len(jobs) == 0 {
			return all
		}
		all = append(all, jobs...)
		after = jobs[len(jobs)-1].JobID
	}
}

func pendingPages(t *testing.T, l jobstore.Store) {
	require.Empty(t, walk(t, l, 3))
	var want []string
	for i := range 7 {
		h := Header([]string{"a", "b"}[i%2])
		want, h.NotifyURL = append(want, h.JobID), fmt.Sprintf("https://hooks.example.com/%d", i)
		switch i {
		case 4:
			apply(t, l, Life(t, h).Submitted)
		case 5:
			Complete(t, l, h, Rows(12))
		case 6:
			finish(t, l, Life(t, h).Failed)
		default:
			apply(t, l, Life(t, h).Requested)
		}
	}
	told := Header("a")
	finish(t, l, Life(t, told).Failed)
	apply(t, l, Notified(t, told, "log"))
	for _, limit := range []int{1, 2, 3, 7, 100} {
		require.Equal(t, want, ids(walk(t, l, limit)), "the oldest first, by pages of %d", limit)
	}
	all := walk(t, l, 100)
	running, done, failed := all[4], all[5], all[6]
	for i, j := range all {
		require.Equal(t, fmt.Sprintf("https://hooks.example.com/%d", i), j.NotifyURL, "a job that is restored is called for, and so is an end that is told again")
	}
	require.Equal(t, job.Queued, all[0].Status)
	require.Equal(t, job.Running, running.Status)
	require.Equal(t, "t-1", running.TradingJobID)
	require.Equal(t, Start.Add(time.Second), *running.StartedAt)
	require.Equal(t, 1, running.Attempts)
	require.Equal(t, "DAX", running.Parameters.Ticker)
	require.Equal(t, job.Completed, done.Status)
	require.Len(t, done.Results, jobstore.BestRows, "people are shown the best rows")
	require.Equal(t, job.TimedOut, failed.ErrorCode)
	partly, err := event.NewNotified(event.Notified{Header: done.Header(), Channel: "slack", NotifiedAt: done.CreatedAt.Add(2 * time.Minute), Left: 1})
	require.NoError(t, err)
	apply(t, l, partly, Notified(t, failed.Header(), "log"))
	require.Equal(t, want[:6], ids(walk(t, l, 2)), "mail is still to be sent")
	timeline, err := l.Timeline(t.Context(), done.TenantID, done.JobID)
	require.NoError(t, err)
	require.Equal(t, "slack", timeline[len(timeline)-1].Data["channel"])
	apply(t, l, Notified(t, done.Header(), "slack"), Notified(t, done.Header(), "email"))
	require.Equal(t, want[:5], ids(walk(t, l, 2)))
}

func lookup(t *testing.T, l jobstore.Store) {
	a, b, ended := Header("a"), Header("b"), Header("a")
	apply(t, l, Life(t, a).Requested, Life(t, b).Submitted)
	Complete(t, l, ended, Rows(2))
	got, err := l.Lookup(t.Context(), []string{ended.JobID, job.NewID(), "no id", a.JobID, b.JobID, a.JobID})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{a.JobID, b.JobID, ended.JobID}, ids(got))
	for _, j := range got {
		require.Equal(t, map[string]job.State{a.JobID: job.Queued, b.JobID: job.Running, ended.JobID: job.Completed}[j.JobID], j.Status)
		require.Equal(t, map[string]string{a.JobID: "a", b.JobID: "b", ended.JobID: "a"}[j.JobID], j.TenantID)
	}
	got, err = l.Lookup(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, got)
}

func sentAgain(t *testing.T, l jobstore.Store) {
	h := Header("a")
	e := Life(t, h)
	apply(t, l, event.Again(e.Requested, 1))
	require.Equal(t, job.Queued, get(t, l, h).Status)
	ended := finish(t, l, event.Again(e.Failed, 1)).Job
	require.Equal(t, job.TimedOut, ended.ErrorCode, "the end that got lost is written when it comes again")
	for _, x := range []cloudevents.Event{event.Again(e.Failed, 2), e.Failed} { // the first sending may still come
		require.Equal(t, ended, finish(t, l, x).Job)
	}
}

func lateLines(t *testing.T, l jobstore.Store) {
	h := Header("a")
	finish(t, l, Life(t, h).Failed) // timed out
	late, err := event.NewFailed(event.Failed{
		Header: h, ErrorCode: job.SweepFailed, ErrorMessage: "out of memory", FailedAt: Start.Add(time.Hour), Via: event.ViaCallback, Late: true,
	})
	require.NoError(t, err)
	apply(t, l, late, late)
	require.Equal(t, []string{event.SweepFailed, event.JobFailed, event.SweepFailed}, timeline(t, l, h))
	events, err := l.Timeline(t.Context(), "a", h.JobID)
	require.NoError(t, err)
	require.Equal(t, "out of memory", events[2].Error)
	require.Equal(t, job.TimedOut, get(t, l, h).ErrorCode)
}
