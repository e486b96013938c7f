package ledgertest

import (
	"context"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

func ids(jobs []job.Job) []string {
	out := []string{}
	for _, j := range jobs {
		out = append(out, j.JobID)
	}
	return out
}

func list(t *testing.T, l ledger.Ledger, tenant string, q ledger.Query) []string {
	t.Helper()
	p, err := l.Jobs(t.Context(), tenant, q)
	require.NoError(t, err)
	return ids(p.Jobs)
}

func pages(t *testing.T, l ledger.Ledger) {
	// Threes share a creation time, so that ids decide.
	var want []string
	var events []cloudevents.Event
	for i := range 25 {
		h := Header("default")
		h.CreatedAt = Start.Add(time.Duration(i/3) * time.Microsecond)
		want = append([]string{h.JobID}, want...)
		events = append(events, Life(t, h).Requested)
	}
	apply(t, l, events...)

	var got []string
	q := ledger.Query{Limit: 4}
	for n := 1; ; n++ {
		p, err := l.Jobs(t.Context(), "default", q)
		require.NoError(t, err)
		require.LessOrEqual(t, len(p.Jobs), 4)
		got = append(got, ids(p.Jobs)...)
		if q.Cursor = p.Next; p.Next == "" {
			require.Equal(t, 7, n)
			break
		}
		// A job that comes in between moves no page.
		h := Header("default")
		h.CreatedAt = Start.Add(time.Hour)
		apply(t, l, Life(t, h).Requested)
	}
	require.Equal(t, want, got)

	p, err := l.Jobs(t.Context(), "default", ledger.Query{Until: Start.Add(time.Minute), Limit: 25})
	require.NoError(t, err)
	require.Len(t, p.Jobs, 25)
	require.Empty(t, p.Next, "a full last page has no next one")
	require.Equal(t, []job.Row{}, p.Jobs[0].Results)
	for _, bad := range []string{"x", "AAAA", "%", q.Cursor + "=="} {
		_, err := l.Jobs(t.Context(), "default", ledger.Query{Cursor: bad})
		require.ErrorIs(t, err, ledger.ErrCursor, bad)
	}
}

func filters(t *testing.T, l ledger.Ledger) {
	var h [4]job.Header
	for i, ticker := range []string{"DAX", "BTC-USD", "dax", "SMI"} {
		h[i] = Header("default")
		h[i].Parameters.Ticker = ticker
		h[i].CreatedAt = Start.Add(time.Duration(i) * time.Hour)
	}
	h[3].Parameters.StrategyType = job.MACD
	apply(t, l, Life(t, h[0]).Requested, Life(t, h[1]).Submitted, Life(t, h[2]).Requested, Life(t, h[3]).Requested)
	Complete(t, l, h[2], Rows(3))
	finish(t, l, Life(t, h[3]).Failed)
	at := func(hours int) time.Time { return Start.Add(time.Duration(hours) * time.Hour) }
	for name, c := range map[string]struct {
		q    ledger.Query
		want []int
	}{
		"all":              {ledger.Query{}, []int{3, 2, 1, 0}},
		"queued":           {ledger.Query{Status: []job.State{job.Queued}}, []int{0}},
		"ended":            {ledger.Query{Status: []job.State{job.Completed, job.Failed}}, []int{3, 2}},
		"no such state":    {ledger.Query{Status: []job.State{"x"}}, nil},
		"ticker":           {ledger.Query{Ticker: "Dax"}, []int{2, 0}},
		"no part of it":    {ledger.Query{Ticker: "DA"}, nil},
		"since":            {ledger.Query{Since: at(2)}, []int{3, 2}},
		"until":            {ledger.Query{Until: at(2)}, []int{1, 0}},
		"ticker in text":   {ledger.Query{Text: " btc "}, []int{1}},
		"id in text":       {ledger.Query{Text: h[0].JobID[20:]}, []int{0}},
		"strategy in text": {ledger.Query{Text: "macd"}, []int{3}},
		"error in text":    {ledger.Query{Text: "NO RESULT"}, []int{3}},
		"run in text":      {ledger.Query{Text: "run-1"}, []int{2}},
		"no pattern":       {ledger.Query{Text: "%"}, nil},
		"no pattern char":  {ledger.Query{Text: "b_c"}, nil},
		"together":         {ledger.Query{Ticker: "DAX", Status: []job.State{job.Completed}, Since: at(1), Text: "sma"}, []int{2}},
	} {
		want := []string{}
		for _, i := range c.want {
			want = append(want, h[i].JobID)
		}
		require.Equal(t, want, list(t, l, "default", c.q), name)
	}
	counts, err := l.Counts(t.Context(), "default", ledger.Query{})
	require.NoError(t, err)
	require.Equal(t, map[job.State]int{job.Queued: 1, job.Running: 1, job.Completed: 1, job.Failed: 1}, counts)
	counts, err = l.Counts(t.Context(), "default", ledger.Query{Ticker: "DAX", Status: []job.State{job.Failed}, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, map[job.State]int{job.Queued: 1, job.Running: 0, job.Completed: 1, job.Failed: 0}, counts)
}

func tenants(t *testing.T, l ledger.Ledger) {
	a, b := Header("a"), Header("b")
	Complete(t, l, a, Rows(2))
	Complete(t, l, b, Rows(3))
	require.Equal(t, []string{a.JobID}, list(t, l, "a", ledger.Query{}))
	require.Empty(t, list(t, l, "", ledger.Query{}))
	require.Empty(t, list(t, l, "*", ledger.Query{}))
	counts, err := l.Counts(t.Context(), "b", ledger.Query{})
	require.NoError(t, err)
	require.Equal(t, 1, counts[job.Completed])
	_, err = l.Job(t.Context(), "a", b.JobID)
	require.ErrorIs(t, err, ledger.ErrNotFound)
	_, err = l.Timeline(t.Context(), "a", b.JobID)
	require.ErrorIs(t, err, ledger.ErrNotFound)
	b.TenantID = "a"
	require.Empty(t, rowsOf(t, l, b, ledger.ByScore))
	require.Empty(t, rowsOf(t, l, b, ledger.ByPeriods))
}

func nothing(t *testing.T, l ledger.Ledger) {
	for _, id := range []string{job.NewID(), "", "x", "' or 1=1 --"} {
		_, err := l.Job(t.Context(), "default", id)
		require.ErrorIs(t, err, ledger.ErrNotFound)
		_, err = l.Timeline(t.Context(), "default", id)
		require.ErrorIs(t, err, ledger.ErrNotFound)
		require.Empty(t, rowsOf(t, l, job.Header{TenantID: "default", JobID: id}, ledger.ByScore))
	}
	p, err := l.Jobs(t.Context(), "default", ledger.Query{})
	require.NoError(t, err)
	require.Equal(t, ledger.Page{Jobs: []job.Job{}}, p)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	err = ledger.Errors(l.Apply(gone, Life(t, Header("default")).Requested))
	require.ErrorIs(t, err, ledger.ErrUnavailable)
	_, err = l.Collect(gone, page(Header("default"), Rows(1)))
	require.ErrorIs(t, err, ledger.ErrUnavailable)
	_, err = l.Collections(gone, Header("default"))
	require.Error(t, err)
	require.Empty(t, l.Apply(t.Context()))
	_, err = l.Jobs(gone, "default", ledger.Query{})
	require.Error(t, err)
	require.Error(t, l.Ping(gone))
	require.Empty(t, list(t, l, "default", ledger.Query{}))
}
