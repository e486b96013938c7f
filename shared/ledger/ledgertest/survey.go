package ledgertest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

// Surveyed is a ledger that can be compared with what waits.
type Surveyed interface {
	ledger.Ledger
	ledger.Survey
}

// ExerciseSurvey runs the suite of ledger.Survey. open is as in Exercise.
func ExerciseSurvey(t *testing.T, open func(t *testing.T) Surveyed) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(*testing.T, Surveyed)
	}{
		{"pages of unfinished jobs", unfinishedPages},
		{"pages of unannounced jobs", unannouncedPages},
		{"jobs of all tenants by id", lookup},
		{"an event that is sent again is the same step", sentAgain},
		{"late ends keep their lines", lateLines},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

// walk reads all pages.
func walk(t *testing.T, limit int, page func(ledger.Position, int) ([]job.Job, error)) (all []job.Job) {
	t.Helper()
	var at ledger.Position
	for {
		jobs, err := page(at, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(jobs), limit)
		all = append(all, jobs...)
		if len(jobs) < limit {
			return all
		}
		at = ledger.PositionOf(jobs[len(jobs)-1])
	}
}

func unfinishedPages(t *testing.T, l Surveyed) {
	page := func(at ledger.Position, n int) ([]job.Job, error) { return l.UnfinishedPage(t.Context(), at, n) }
	require.Empty(t, walk(t, 3, page))
	var want []string
	for i := range 7 {
		h := Header([]string{"a", "b"}[i%2])
		h.CreatedAt = Start.Add(time.Duration(i/3) * time.Second) // three of the same instant
		e := Life(t, h)
		if i == 4 {
			apply(t, l, e.Submitted)
		} else {
			apply(t, l, e.Requested)
		}
		want = append(want, h.JobID)
	}
	ended := Header("a")
	finish(t, l, Life(t, ended).Failed)
	for _, limit := range []int{1, 2, 3, 100} {
		got := walk(t, limit, page)
		require.ElementsMatch(t, want, ids(got), "by pages of %d", limit)
		for i := 1; i < len(got); i++ {
			require.False(t, got[i].CreatedAt.Before(got[i-1].CreatedAt), "the oldest comes first")
		}
	}
	all := walk(t, 100, page)
	require.Equal(t, job.Running, all[4].Status)
	require.Equal(t, "t-1", all[4].TradingJobID)
	require.Equal(t, Start.Add(2*time.Second), *all[4].StartedAt)
	require.Equal(t, 1, all[4].Attempts)
	require.Empty(t, all[4].Results)
	require.Equal(t, "DAX", all[4].Parameters.Ticker)
}

func unannouncedPages(t *testing.T, l Surveyed) {
	page := func(at ledger.Position, n int) ([]job.Job, error) { return l.UnannouncedPage(t.Context(), at, n) }
	var want []string
	for range 5 {
		h := Header("a")
		Complete(t, l, h, Rows(12))
		want = append(want, h.JobID)
	}
	told, open := Header("b"), Header("b")
	finish(t, l, Life(t, told).Failed)
	apply(t, l, Notified(t, told, "log"), Life(t, open).Requested)
	got := walk(t, 2, page)
	require.ElementsMatch(t, want, ids(got))
	require.Len(t, got[0].Results, ledger.BestRows, "people are shown the best rows")
	from, err := l.UnannouncedPage(t.Context(), ledger.Position{CreatedAt: Start.Add(time.Second)}, 10)
	require.NoError(t, err)
	require.Empty(t, from, "all were made before")
}

func lookup(t *testing.T, l Surveyed) {
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

func sentAgain(t *testing.T, l Surveyed) {
	h := Header("a")
	e := Life(t, h)
	apply(t, l, event.Again(e.Requested, 1))
	require.Equal(t, job.Queued, get(t, l, h).Status)
	f := finish(t, l, event.Again(e.Failed, 1))
	require.True(t, f.First, "the end that got lost is written when it comes again")
	again := finish(t, l, event.Again(e.Failed, 2))
	require.False(t, again.First)
	require.Equal(t, f.Job, again.Job)
	again = finish(t, l, e.Failed)
	require.False(t, again.First, "the first sending may still come")
	require.Equal(t, f.Job, again.Job)
}

func lateLines(t *testing.T, l Surveyed) {
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
