package jobstoretest

import (
	"context"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

func ids(jobs []job.Job) []string {
	out := []string{}
	for _, j := range jobs {
		out = append(out, j.JobID)
	}
	return out
}

func list(t *testing.T, l jobstore.Store, tenant string, q jobstore.Query) []string {
	t.Helper()
	p, err := l.Jobs(t.Context(), tenant, q)
	require.NoError(t, err)
	return ids(p.Jobs)
}

func pages(t *testing.T, l jobstore.Store) {
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
	q := jobstore.Query{Limit: 4}
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

	p, err := l.Jobs(t.Context(), "default", jobstore.Query{Until: Start.Add(time.Minute), Limit: 25})
	require.NoError(t, err)
	require.Len(t, p.Jobs, 25)
	require.Empty(t, p.Next, "a full last page has no next one")
	require.Equal(t, []job.Row{}, p.Jobs[0].Results)
	for _, bad := range []string{"x", "AAAA", "%", q.Cursor + "=="} {
		_, err := l.Jobs(t.Context(), "default", jobstore.Query{Cursor: bad})
		require.ErrorIs(t, err, jobstore.ErrCursor, bad)
	}
}

func filters(t *testing.T, l jobstore.Store) {
	var h [4]job.Header
	for i, ticker := range []string{"DAX", "BTC-USD", "dax", "SMI"} {
		h[i] = Header("default")
		h[i].Parameters.Ticker = ticker
		h[i].CreatedAt = Start.Add(time.Duration(i) * time.Hour)
	}
	h[3].Parameters.StrategyType = job.MACD
	h[0].GroupID, h[2].GroupID = h[0].JobID, h[0].JobID
	h[0].Labels, h[1].Labels, h[2].Labels = []string{"desk=eu", "weekly"}, []string{"weekly"}, []string{"week"}
	apply(t, l, Life(t, h[0]).Requested, Life(t, h[1]).Submitted, Life(t, h[2]).Requested, Life(t, h[3]).Requested)
	Complete(t, l, h[2], Rows(3))
	finish(t, l, Life(t, h[3]).Failed)
	common := h[0].JobID[:6] // they were made at once
	require.Empty(t, list(t, l, "other", jobstore.Query{Prefix: h[0].JobID}), "of another tenant")
	at := func(hours int) time.Time { return Start.Add(time.Duration(hours) * time.Hour) }
	for name, c := range map[string]struct {
		q    jobstore.Query
		want []int
	}{
		"all":              {jobstore.Query{}, []int{3, 2, 1, 0}},
		"queued":           {jobstore.Query{Status: []job.State{job.Queued}}, []int{0}},
		"ended":            {jobstore.Query{Status: []job.State{job.Completed, job.Failed}}, []int{3, 2}},
		"no such state":    {jobstore.Query{Status: []job.State{"x"}}, nil},
		"ticker":           {jobstore.Query{Ticker: "Dax"}, []int{2, 0}},
		"no part of it":    {jobstore.Query{Ticker: "DA"}, nil},
		"since":            {jobstore.Query{Since: at(2)}, []int{3, 2}},
		"until":            {jobstore.Query{Until: at(2)}, []int{1, 0}},
		"ticker in text":   {jobstore.Query{Text: " btc "}, []int{1}},
		"id in text":       {jobstore.Query{Text: h[0].JobID[20:]}, []int{0}},
		"strategy in text": {jobstore.Query{Text: "macd"}, []int{3}},
		"error in text":    {jobstore.Query{Text: "NO RESULT"}, []int{3}},
		"run in text":      {jobstore.Query{Text: "run-1"}, []int{2}},
		"no pattern":       {jobstore.Query{Text: "%"}, nil},
		"no pattern char":  {jobstore.Query{Text: "b_c"}, nil},
		"group":            {jobstore.Query{Group: h[0].JobID}, []int{2, 0}},
		"group of nobody":  {jobstore.Query{Group: h[1].JobID}, nil},
		"label":            {jobstore.Query{Labels: []string{"weekly"}}, []int{1, 0}},
		"both labels":      {jobstore.Query{Labels: []string{"weekly", "desk=eu"}}, []int{0}},
		"no part of one":   {jobstore.Query{Labels: []string{"desk"}}, nil},
		"no label so":      {jobstore.Query{Labels: []string{`weekly","week`}}, nil},
		"best of a label":  {jobstore.Query{Labels: []string{"week"}, Sort: jobstore.BestFirst}, []int{2}},
		"best of a group":  {jobstore.Query{Group: h[0].JobID, Sort: jobstore.BestFirst}, []int{2, 0}},
		"prefix":           {jobstore.Query{Prefix: h[1].JobID[:33]}, []int{1}},
		"no dashes":        {jobstore.Query{Prefix: strings.ReplaceAll(h[2].JobID, "-", "")}, []int{2}},
		"common prefix":    {jobstore.Query{Prefix: common}, []int{3, 2, 1, 0}},
		"best of a prefix": {jobstore.Query{Prefix: common, Sort: jobstore.BestFirst}, []int{2, 3, 1, 0}},
		"prefix and state": {jobstore.Query{Prefix: common, Status: []job.State{job.Queued}}, []int{0}},
		"nobody's prefix":  {jobstore.Query{Prefix: "ffffffff"}, nil},
		"short prefix":     {jobstore.Query{Prefix: common[:5]}, nil},
		"odd prefix":       {jobstore.Query{Prefix: "zzzzzzzz"}, nil},
		"together":         {jobstore.Query{Ticker: "DAX", Status: []job.State{job.Completed}, Since: at(1), Text: "sma"}, []int{2}},
	} {
		want := []string{}
		for _, i := range c.want {
			want = append(want, h[i].JobID)
		}
		require.Equal(t, want, list(t, l, "default", c.q), name)
	}
	counts, err := l.Counts(t.Context(), "default", jobstore.Query{})
	require.NoError(t, err)
	require.Equal(t, map[job.State]int{job.Queued: 1, job.Running: 1, job.Completed: 1, job.Failed: 1, job.ShownCancelled: 0}, counts)
	counts, err = l.Counts(t.Context(), "default", jobstore.Query{Ticker: "DAX", Status: []job.State{job.Failed}, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, map[job.State]int{job.Queued: 1, job.Running: 0, job.Completed: 1, job.Failed: 0, job.ShownCancelled: 0}, counts)
}

// cancelled: people are told it as a state of its own.
func cancelled(t *testing.T, l jobstore.Store) {
	var h [4]job.Header
	for i := range h {
		h[i] = Header("default")
		h[i].CreatedAt = Start.Add(time.Duration(i) * time.Hour)
	}
	stop := func(h job.Header) cloudevents.Event {
		e, err := event.NewFailed(event.Failed{Header: h, ErrorCode: job.Cancelled, ErrorMessage: "cancelled by its owner", FailedAt: h.CreatedAt, Via: event.ViaOwner})
		require.NoError(t, err)
		return e
	}
	apply(t, l, Life(t, h[0]).Requested)
	finish(t, l, Life(t, h[1]).Failed)
	finish(t, l, stop(h[2]))
	finish(t, l, stop(h[3]))
	foreign := Header("other")
	finish(t, l, stop(foreign))
	for _, c := range []struct {
		states []job.State
		want   []int
	}{
		{[]job.State{job.Failed}, []int{1}},
		{[]job.State{job.ShownCancelled}, []int{3, 2}},
		{[]job.State{job.ShownCancelled, job.Failed}, []int{3, 2, 1}},
		{[]job.State{job.ShownCancelled, job.Queued}, []int{3, 2, 0}},
		{[]job.State{job.Queued, job.Failed}, []int{1, 0}},
		{nil, []int{3, 2, 1, 0}},
	} {
		want := []string{}
		for _, i := range c.want {
			want = append(want, h[i].JobID)
		}
		require.Equal(t, want, list(t, l, "default", jobstore.Query{Status: c.states}), c.states)
	}
	counts, err := l.Counts(t.Context(), "default", jobstore.Query{Since: h[1].CreatedAt, Ticker: "dax"})
	require.NoError(t, err)
	require.Equal(t, map[job.State]int{job.Queued: 0, job.Running: 0, job.Completed: 0, job.Failed: 1, job.ShownCancelled: 2}, counts)
	j, err := l.Job(t.Context(), "default", h[2].JobID)
	require.NoError(t, err)
	require.Equal(t, job.Failed, j.Status, "it is stored as it always was")
	require.Equal(t, job.ShownCancelled, j.Shown())
}

func retries(t *testing.T, l jobstore.Store) {
	a, b := Header("default"), Header("default")
	var again [3]job.Header
	for i := range again {
		again[i] = Header("default")
		again[i].CreatedAt = Start.Add(time.Duration(i+1) * time.Minute)
		again[i].RetryOf = []string{a.JobID, a.JobID, b.JobID}[i]
	}
	foreign := Header("other")
	foreign.RetryOf = a.JobID
	apply(t, l, Life(t, a).Requested, Life(t, b).Requested, Life(t, again[1]).Requested, Life(t, again[0]).Requested, Life(t, again[2]).Requested, Life(t, foreign).Requested)
	got, err := l.Retries(t.Context(), "default", []string{a.JobID, again[0].JobID, "x", a.JobID})
	require.NoError(t, err)
	require.Equal(t, map[string][]string{a.JobID: {again[0].JobID, again[1].JobID}}, got)
	got, err = l.Retries(t.Context(), "other", []string{a.JobID, b.JobID})
	require.NoError(t, err)
	require.Equal(t, map[string][]string{a.JobID: {foreign.JobID}}, got)
	got, err = l.Retries(t.Context(), "default", nil)
	require.NoError(t, err)
	require.Empty(t, got)
}

func tenants(t *testing.T, l jobstore.Store) {
	a, b := Header("a"), Header("b")
	Complete(t, l, a, Rows(2))
	Complete(t, l, b, Rows(3))
	require.Equal(t, []string{a.JobID}, list(t, l, "a", jobstore.Query{}))
	require.Empty(t, list(t, l, "", jobstore.Query{}))
	require.Empty(t, list(t, l, "*", jobstore.Query{}))
	counts, err := l.Counts(t.Context(), "b", jobstore.Query{})
	require.NoError(t, err)
	require.Equal(t, 1, counts[job.Completed])
	_, err = l.Job(t.Context(), "a", b.JobID)
	require.ErrorIs(t, err, jobstore.ErrNotFound)
	_, err = l.Timeline(t.Context(), "a", b.JobID)
	require.ErrorIs(t, err, jobstore.ErrNotFound)
	b.TenantID = "a"
	require.Empty(t, rowsOf(t, l, b, jobstore.ByScore))
	require.Empty(t, rowsOf(t, l, b, jobstore.ByPeriods))
}

func nothing(t *testing.T, l jobstore.Store) {
	for _, id := range []string{job.NewID(), "", "x", "' or 1=1 --"} {
		_, err := l.Job(t.Context(), "default", id)
		require.ErrorIs(t, err, jobstore.ErrNotFound)
		_, err = l.Timeline(t.Context(), "default", id)
		require.ErrorIs(t, err, jobstore.ErrNotFound)
		require.Empty(t, rowsOf(t, l, job.Header{TenantID: "default", JobID: id}, jobstore.ByScore))
	}
	p, err := l.Jobs(t.Context(), "default", jobstore.Query{})
	require.NoError(t, err)
	require.Equal(t, jobstore.Page{Jobs: []job.Job{}}, p)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	err = jobstore.Errors(l.Apply(gone, Life(t, Header("default")).Requested))
	require.ErrorIs(t, err, jobstore.ErrUnavailable)
	_, err = l.Collect(gone, page(Header("default"), Rows(1)))
	require.ErrorIs(t, err, jobstore.ErrUnavailable)
	_, err = l.Collections(gone, Header("default"))
	require.Error(t, err)
	require.Empty(t, l.Apply(t.Context()))
	_, err = l.Jobs(gone, "default", jobstore.Query{})
	require.Error(t, err)
	require.Error(t, l.Ping(gone))
	require.Empty(t, list(t, l, "default", jobstore.Query{}))
}
