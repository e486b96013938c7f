package jobstoretest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// pagesOf cuts rows into pages of n.
func pagesOf(h job.Header, rows []job.Row, n int) (out []jobstore.ResultPage) {
	for from := 0; from < len(rows); from += n {
		next := min(from+n, len(rows))
		out = append(out, jobstore.ResultPage{
			Header: h, SweepRunID: "run-1", From: from, Next: next, Total: len(rows), Last: next == len(rows), Rows: rows[from:next],
		})
	}
	return out
}

func store(t *testing.T, l jobstore.Store, p jobstore.ResultPage) jobstore.Collection {
	t.Helper()
	c, err := l.Collect(t.Context(), p)
	require.NoError(t, err)
	return c[0]
}

// standing is how far one job is.
func standing(t *testing.T, l jobstore.Store, h job.Header) jobstore.Collection {
	t.Helper()
	c, err := l.Collections(t.Context(), h)
	require.NoError(t, err)
	return c[0]
}

func collectPages(t *testing.T, l jobstore.Store) {
	h := Header("default")
	rows := Rows(25)
	pages := pagesOf(h, rows, 10)
	require.Equal(t, jobstore.Collection{}, standing(t, l, h), "an unknown job")
	require.Empty(t, store(t, l, pages[0]).Status, "its rows are not stored")
	apply(t, l, Life(t, h).Completed)
	require.Equal(t, jobstore.Collection{Status: job.Running}, standing(t, l, h))
	require.Nil(t, get(t, l, h).Collecting)

	require.Equal(t, 0, store(t, l, pages[1]).Next, "a page that leaves a gap is not stored")
	require.Empty(t, rowsOf(t, l, h, jobstore.ByScore))
	want := jobstore.Collection{Status: job.Running, SweepRunID: "run-1", Next: 10, Total: 25}
	require.Equal(t, want, store(t, l, pages[0]))
	require.Equal(t, want, standing(t, l, h))
	require.Equal(t, &job.Collecting{Rows: 10, Total: 25}, get(t, l, h).Collecting)
	require.Equal(t, want, store(t, l, pages[0]), "a repeat changes nothing")
	require.Len(t, rowsOf(t, l, h, jobstore.ByScore), 10)
	require.Equal(t, 20, store(t, l, pages[1]).Next)
	require.Equal(t, 20, store(t, l, pages[0]).Next, "whoever is behind learns where it stands")
	require.Equal(t, 25, store(t, l, pages[2]).Next)
	require.Equal(t, 25, standing(t, l, h).Next)

	sum, err := l.Summary(t.Context(), "default", h.JobID)
	require.NoError(t, err)
	require.Equal(t, jobstore.Summarize(rows), sum)
	a := finish(t, l, Collected(t, h, rows))
	require.Equal(t, sum.Best, a.Job.Results)
	require.Nil(t, a.Job.Collecting)
	require.Nil(t, get(t, l, h).Collecting)
	require.Equal(t, jobstore.Collection{Status: job.Completed}, standing(t, l, h), "a collection ends with its job")

	sum, err = l.Summary(t.Context(), "default", job.NewID())
	require.NoError(t, err)
	require.Equal(t, jobstore.Summary{Best: []job.Row{}}, sum)
}

func collectOtherRun(t *testing.T, l jobstore.Store) {
	h := Header("default")
	apply(t, l, Life(t, h).Completed)
	pages := pagesOf(h, Rows(20), 10)
	store(t, l, pages[0])
	other := pagesOf(h, Rows(8), 4)
	for i := range other {
		other[i].SweepRunID = "run-2"
	}
	require.Equal(t, 10, store(t, l, other[1]).Next, "it does not continue another run")
	require.Equal(t, jobstore.Collection{Status: job.Running, SweepRunID: "run-2", Next: 4, Total: 8}, store(t, l, other[0]))
	require.Equal(t, "run-2", store(t, l, pages[1]).SweepRunID)
	require.Equal(t, 8, store(t, l, other[1]).Next)
	require.Len(t, rowsOf(t, l, h, jobstore.ByScore), 8, "nothing is left of the run before")
	// A run of one page replaces what another has left, too.
	require.Equal(t, 3, store(t, l, page(h, Rows(3))).Next)
	require.Len(t, rowsOf(t, l, h, jobstore.ByScore), 3)
}

func collectLate(t *testing.T, l jobstore.Store) {
	h := Header("default")
	apply(t, l, Life(t, h).Failed)
	for _, p := range append(pagesOf(h, Rows(4), 2), page(h, Rows(4))) {
		require.Equal(t, job.Failed, store(t, l, p).Status)
	}
	require.Empty(t, rowsOf(t, l, h, jobstore.ByScore))
	h = Header("default")
	done := Complete(t, l, h, Rows(3))
	more := Rows(5)
	require.Equal(t, job.Completed, store(t, l, page(h, more)).Status)
	require.Len(t, rowsOf(t, l, h, jobstore.ByScore), 3)
	require.Equal(t, *done.Job, get(t, l, h))
}

// collectAtOnce: of many who store the same pages each page is stored once, and
// all learn how far it is.
func collectAtOnce(t *testing.T, l jobstore.Store) {
	h := Header("default")
	apply(t, l, Life(t, h).Completed)
	rows := Rows(60)
	pages := pagesOf(h, rows, 6)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for at := 0; at < len(rows); {
				c, err := l.Collect(context.WithoutCancel(t.Context()), pages[at/6])
				if err != nil || c[0].Next <= at && c[0].Next%6 != 0 {
					t.Errorf("collect from %d: %v, %+v", at, err, c)
					return
				}
				at = c[0].Next
			}
		})
	}
	wg.Wait()
	require.Len(t, rowsOf(t, l, h, jobstore.ByScore), 60)
	require.Equal(t, 60, standing(t, l, h).Next)
}

// collectMany stores pages of many jobs in one call, in no order.
func collectMany(t *testing.T, l jobstore.Store) {
	var pages []jobstore.ResultPage
	for i := range 20 {
		h := Header([]string{"a", "b"}[i%2])
		if i != 7 {
			apply(t, l, Life(t, h).Completed)
		}
		rows := Rows(i + 1)
		p := page(h, rows)
		if i%3 == 0 {
			p.Last, p.Total = false, 100
		}
		pages = append([]jobstore.ResultPage{p}, pages...)
		if i%5 == 0 {
			pages[0], pages[len(pages)-1] = pages[len(pages)-1], pages[0]
		}
	}
	got, err := l.Collect(t.Context(), pages...)
	require.NoError(t, err)
	for i, p := range pages {
		rows := rowsOf(t, l, p.Header, jobstore.ByScore)
		if len(p.Rows) == 8 {
			require.Equal(t, jobstore.Collection{}, got[i])
			require.Empty(t, rows)
			continue
		}
		require.Equal(t, jobstore.Collection{Status: job.Running, SweepRunID: "run-1", Next: p.Next, Total: p.Total}, got[i])
		require.Equal(t, jobstore.CleanAll(p.Rows), rows)
	}
	got, err = l.Collect(t.Context())
	require.NoError(t, err)
	require.Empty(t, got)
}

func collectFailures(t *testing.T, l jobstore.Store) {
	h := Header("default")
	count := func(run string) int {
		n, err := l.CollectFailed(t.Context(), h, run)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, count("run-1"), "nobody knows the job")
	apply(t, l, Life(t, h).Completed)
	require.Equal(t, 1, count("run-1"))
	require.Equal(t, 2, count("run-1"))
	require.Equal(t, jobstore.Collection{Status: job.Running, SweepRunID: "run-1", Failures: 2}, standing(t, l, h))
	pages := pagesOf(h, Rows(20), 10)
	require.Equal(t, jobstore.Collection{Status: job.Running, SweepRunID: "run-1", Next: 10, Total: 20}, store(t, l, pages[0]), "a page that is stored clears the count")
	require.Equal(t, 1, count("run-1"))
	require.Equal(t, 10, standing(t, l, h).Next, "what is stored stays")
	require.Equal(t, 1, count("run-2"))
	require.Zero(t, standing(t, l, h).Next, "another run begins anew")
	// A sweep of one page leaves its count to the end of the job.
	require.Equal(t, 3, store(t, l, page(h, Rows(3))).Next)
	finish(t, l, Collected(t, h, Rows(3)))
	require.Zero(t, count("run-1"))
	require.Equal(t, jobstore.Collection{Status: job.Completed}, standing(t, l, h))
}

// endsAndPages: a job that ends while its pages are written has all rows if it
// is COMPLETED, and none if it FAILED.
func endsAndPages(t *testing.T, l jobstore.Store) {
	for range 5 {
		var wg sync.WaitGroup
		headers := make([]job.Header, 6)
		for i := range headers {
			headers[i] = Header("default")
			apply(t, l, Life(t, headers[i]).Completed)
		}
		ctx := context.WithoutCancel(t.Context())
		wg.Go(func() {
			for at := range 4 {
				var pages []jobstore.ResultPage
				for _, h := range headers {
					pages = append(pages, pagesOf(h, Rows(40), 10)[at])
				}
				if _, err := l.Collect(ctx, pages...); err != nil {
					t.Errorf("collect: %v", err)
				}
			}
		})
		wg.Go(func() {
			for i, h := range headers {
				e, err := event.NewFailed(event.Failed{Header: h, ErrorCode: job.Cancelled, FailedAt: Start.Add(time.Minute), Via: event.ViaOwner})
				if err != nil {
					t.Error(err)
				}
				other := headers[(i+1)%len(headers)]
				if err := jobstore.Errors(l.Apply(ctx, Life(t, other).Again, e)); err != nil {
					t.Errorf("apply: %v", err)
				}
			}
		})
		wg.Wait()
		for _, h := range headers {
			require.Equal(t, job.Failed, get(t, l, h).Status)
			require.Empty(t, rowsOf(t, l, h, jobstore.ByScore), "rows of a failed job")
		}
	}
}
