package jobstoretest

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

func unreadable(t *testing.T, l jobstore.Store) {
	h := Header("default")
	good := Life(t, h).Requested
	for name, spoil := range map[string]func(*cloudevents.Event){
		"foreign type":      func(e *cloudevents.Event) { e.SetType("com.example.x") },
		"no JSON":           func(e *cloudevents.Event) { require.NoError(t, e.SetData("text/plain", "{")) },
		"empty data":        func(e *cloudevents.Event) { require.NoError(t, e.SetData("application/json", map[string]any{})) },
		"another job's id":  func(e *cloudevents.Event) { e.SetID(job.NewID() + "/requested") },
		"endless id":        func(e *cloudevents.Event) { e.SetID(h.JobID + "/" + strings.Repeat("x", 500)) },
		"id with NUL":       func(e *cloudevents.Event) { e.SetID(h.JobID + "/\x00") },
		"broken parameters": func(e *cloudevents.Event) { data(t, e, func(h *job.Header) { h.Parameters.Ticker = "\x00\x00\x00" }) },
		"no tenant":         func(e *cloudevents.Event) { data(t, e, func(h *job.Header) { h.TenantID = "" }) },
		"tenant with NUL":   func(e *cloudevents.Event) { data(t, e, func(h *job.Header) { h.TenantID = "a\x00" }) },
		"foreign job type":  func(e *cloudevents.Event) { data(t, e, func(h *job.Header) { h.JobType = "x" }) },
		"no job id":         func(e *cloudevents.Event) { data(t, e, func(h *job.Header) { h.JobID = "x" }) },
		"group of nothing":  func(e *cloudevents.Event) { data(t, e, func(h *job.Header) { h.GroupID = "x" }) },
		"strange label":     func(e *cloudevents.Event) { data(t, e, func(h *job.Header) { h.Labels = []string{"a\x00"} }) },
		"no address":        func(e *cloudevents.Event) { data(t, e, func(h *job.Header) { h.NotifyURL = "http://example.com\n" }) },
		"retry of nothing":  func(e *cloudevents.Event) { data(t, e, func(h *job.Header) { h.RetryOf = "x" }) },
		"no creation": func(e *cloudevents.Event) {
			data(t, e, func(h *job.Header) { h.CreatedAt = h.CreatedAt.AddDate(-1000, 0, 0) })
		},
	} {
		bad := Life(t, Header("default")).Requested.Clone()
		bad.SetID(good.ID())
		require.NoError(t, bad.SetData("application/json", event.Requested{Header: h}))
		spoil(&bad)
		one, two := Header("default"), Header("other")
		out := l.Apply(t.Context(), Life(t, one).Requested, bad, Life(t, two).Failed)
		require.NoError(t, out[0].Err, name)
		require.ErrorIs(t, out[1].Err, jobstore.ErrUnreadable, name)
		require.NoError(t, out[2].Err, name)
		require.Equal(t, job.Queued, get(t, l, one).Status)
		require.True(t, out[2].First)
	}
	_, err := l.Job(t.Context(), h.TenantID, h.JobID)
	require.ErrorIs(t, err, jobstore.ErrNotFound)
}

// hostileTimes: RFC 3339 has four digits for a year, and an offset can lead past
// them.
func hostileTimes(t *testing.T, l jobstore.Store) {
	good := Header("default")
	apply(t, l, Life(t, good).Requested)
	for _, late := range []string{"9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59.9999999-23:59"} {
		at, err := time.Parse(time.RFC3339Nano, late)
		require.NoError(t, err)
		for name, make := range map[string]func(h job.Header) (cloudevents.Event, error){
			"created_at": func(h job.Header) (cloudevents.Event, error) {
				h.CreatedAt = at
				return event.NewRequested(event.Requested{Header: h})
			},
			"submitted_at": func(h job.Header) (cloudevents.Event, error) {
				return event.NewSubmitted(event.Submitted{Header: h, SubmittedAt: at})
			},
			"completed_at": func(h job.Header) (cloudevents.Event, error) {
				d := collected(h, Rows(1))
				d.CompletedAt = at
				return event.NewCollected(d)
			},
			"failed_at": func(h job.Header) (cloudevents.Event, error) {
				return event.NewFailed(event.Failed{Header: h, FailedAt: at, ErrorCode: job.TimedOut})
			},
			"time": func(h job.Header) (cloudevents.Event, error) {
				e := Life(t, h).Requested
				e.SetTime(at)
				return e, nil
			},
		} {
			h := Header("default")
			e, err := make(h)
			if err != nil { // our own constructors refuse it too
				continue
			}
			require.ErrorIs(t, l.Apply(t.Context(), e)[0].Err, jobstore.ErrUnreadable, "%s %s", name, late)
			_, err = l.Job(t.Context(), "default", h.JobID)
			require.ErrorIs(t, err, jobstore.ErrNotFound)
		}
	}
	p, err := l.Jobs(t.Context(), "default", jobstore.Query{})
	require.NoError(t, err)
	require.Equal(t, []string{good.JobID}, ids(p.Jobs))
	_, err = json.Marshal(p)
	require.NoError(t, err)
}

// data changes the header inside a requested event.
func data(t *testing.T, e *cloudevents.Event, change func(*job.Header)) {
	t.Helper()
	d, err := event.Data[event.Requested](*e)
	require.NoError(t, err)
	change(&d.Header)
	require.NoError(t, e.SetData("application/json", d))
}

func foreign(t *testing.T, l jobstore.Store) {
	h := Header("owner")
	apply(t, l, Life(t, h).Requested)
	before := get(t, l, h)

	thief := h
	thief.TenantID = "thief"
	thief.Parameters.Ticker = "CAC"
	out := l.Apply(t.Context(), Life(t, thief).Submitted, Life(t, h).Requested, Life(t, thief).Failed, Collected(t, thief, Rows(2)))
	require.NoError(t, out[1].Err)
	for _, i := range []int{0, 2, 3} {
		require.ErrorIs(t, out[i].Err, jobstore.ErrUnreadable)
		require.Nil(t, out[i].Job)
	}
	c := collect(t, l, thief, Rows(2))
	require.Empty(t, c.Status)
	n, err := l.CollectFailed(t.Context(), thief, "run-1")
	require.NoError(t, err)
	require.Zero(t, n)
	all, err := l.Collections(t.Context(), thief, h)
	require.NoError(t, err)
	require.Equal(t, []jobstore.Collection{{}, {Status: job.Queued}}, all)

	require.Equal(t, before, get(t, l, h))
	require.Len(t, timeline(t, l, h), 1)
	_, err = l.Job(t.Context(), "thief", h.JobID)
	require.ErrorIs(t, err, jobstore.ErrNotFound)
	_, err = l.Timeline(t.Context(), "thief", h.JobID)
	require.ErrorIs(t, err, jobstore.ErrNotFound)
	require.Empty(t, rowsOf(t, l, h, jobstore.ByScore))

	// Owner and thief of a job that neither is known of: one of them has it, and
	// nothing of the other's stands in it.
	h = Header("owner")
	thief = h
	thief.TenantID = "thief"
	out = l.Apply(t.Context(), Life(t, h).Requested, Life(t, thief).Submitted)
	require.NoError(t, out[0].Err)
	require.ErrorIs(t, out[1].Err, jobstore.ErrUnreadable)
	require.Equal(t, job.Queued, get(t, l, h).Status)
	require.Len(t, timeline(t, l, h), 1)
}

func hostileText(t *testing.T, l jobstore.Store) {
	for _, text := range []string{"a\x00b", "\xff", "'; drop table pipeline_jobs; --", strings.Repeat("é", 5000), `\u0000 \ud800`, "\U0001F600\u202e"} {
		h := Header("default")
		f, err := event.NewFailed(event.Failed{Header: h, TradingJobID: text, ErrorCode: job.ErrorCode(text), ErrorMessage: text, FailedAt: Start, Via: event.ViaPoll})
		require.NoError(t, err)
		require.True(t, finish(t, l, f).First)
		j := get(t, l, h)
		require.Equal(t, jobstore.Message(text), j.ErrorMessage)
		events, err := l.Timeline(t.Context(), h.TenantID, h.JobID)
		require.NoError(t, err)
		require.Len(t, events, 2)

		h = Header("default")
		rows := Rows(1)
		rows[0].Ticker, rows[0].StrategyType, rows[0].ResultID = text, text, text
		Complete(t, l, h, rows)
		require.Equal(t, []job.Row{jobstore.Clean(rows[0])}, rowsOf(t, l, h, jobstore.ByScore))
		require.Equal(t, []job.Row{jobstore.Clean(rows[0])}, get(t, l, h).Results)
		_, err = l.Jobs(t.Context(), "default", jobstore.Query{Text: text, Ticker: text, Status: []job.State{job.State(text)}})
		require.NoError(t, err)
		_, err = l.Jobs(t.Context(), text, jobstore.Query{})
		if !strings.Contains(text, "\x00") && text != "\xff" {
			require.NoError(t, err)
		}
	}
	// Escapes that are valid JSON and no text in PostgreSQL.
	h := Header("default")
	e := Life(t, h).Failed
	raw := strings.Replace(string(e.Data()), "no result", `\u0000\ud800`, 1)
	require.NoError(t, e.SetData("application/json", []byte(raw)))
	require.True(t, finish(t, l, e).First)
	_, err := l.Timeline(t.Context(), h.TenantID, h.JobID)
	require.NoError(t, err)
}

func hostileFigures(t *testing.T, l jobstore.Store) {
	h := Header("default")
	figures := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, -1e300, 1e14, 99999999999999.9, 1e-300, 0.1234565, -0.0000001,
		123456789.123456, 12345678901.123456, 99999999999998.9, math.MaxFloat64, math.SmallestNonzeroFloat64, 1.0 / 3}
	var rows []job.Row
	for i, f := range figures {
		own := f
		signal := math.MaxInt
		rows = append(rows, job.Row{
			Ticker: "DAX", StrategyType: job.MACD, FastPeriod: i, SlowPeriod: math.MinInt, SignalPeriod: &signal, Score: f, SharpeRatio: f,
			TotalReturnPct: f, ProfitFactor: f, AnnualizedReturn: &own, CalmarRatio: &own, TotalTrades: math.MaxInt,
		})
	}
	f := Complete(t, l, h, rows)
	require.True(t, f.First)
	require.Equal(t, job.Completed, f.Job.Status)
	require.Equal(t, jobstore.CleanAll(rows), rowsOf(t, l, h, jobstore.ByScore))
	require.True(t, math.IsNaN(*rows[0].CalmarRatio), "the caller's rows were changed")
}

func duplicateRows(t *testing.T, l jobstore.Store) {
	h := Header("default")
	rows := Rows(3)
	nine := 9
	signalled := rows[0]
	signalled.SignalPeriod = &nine
	twice := rows[0]
	twice.Score = 99
	rows = append(rows, signalled, twice, signalled)
	Complete(t, l, h, rows)
	got := rowsOf(t, l, h, jobstore.ByPeriods)
	require.Len(t, got, 4)
	require.Equal(t, jobstore.Clean(rows[0]), got[0])
	require.Equal(t, jobstore.Clean(signalled), got[1])
}

func manyRows(t *testing.T, l jobstore.Store) {
	h, other := Header("default"), Header("default")
	const n = 12_001
	Complete(t, l, h, Rows(n))
	Complete(t, l, other, Rows(7))
	rows := rowsOf(t, l, h, jobstore.ByScore)
	require.Len(t, rows, n)
	for i, r := range rows {
		require.Equal(t, float64(n-1-i)/100, r.Score)
	}
	rows = rowsOf(t, l, h, jobstore.ByPeriods)
	require.Len(t, rows, n)
	for i, r := range rows {
		require.Equal(t, [2]int{i/400 + 1, i%400 + 2}, [2]int{r.FastPeriod, r.SlowPeriod})
	}
	// All rows in any order, from anywhere, and with conditions.
	for _, c := range []struct {
		q    jobstore.RowQuery
		want int
	}{
		{jobstore.RowQuery{By: "total_trades", Ascending: true}, n},
		{jobstore.RowQuery{By: "total_trades", Ascending: true, Offset: 1}, n - 1},
		{jobstore.RowQuery{By: "calmar_ratio", Limit: 5000}, 5000},
		{jobstore.RowQuery{By: "calmar_ratio", Limit: 5001, Offset: 7000}, 5001},
		{jobstore.RowQuery{Limit: 7}, 7},
		{jobstore.RowQuery{Offset: n}, 0},
		{jobstore.RowQuery{Where: []jobstore.Condition{{Column: "score", Operator: ">=", Value: 10}}}, n - 1000},
	} {
		got := rowsOf(t, l, h, c.q)
		require.Len(t, got, c.want, c.q)
		seen := map[string]bool{}
		for i, r := range got {
			seen[r.ResultID] = true
			if c.q.By == "total_trades" {
				require.Equal(t, 60+c.q.Offset+i, r.TotalTrades)
			}
		}
		require.Len(t, seen, c.want, c.q)
	}
	// Equal scores over more than one chunk.
	same := Header("default")
	flat := Rows(n)
	for i := range flat {
		flat[i].Score = -1.5
	}
	Complete(t, l, same, flat)
	seen := map[[2]int]bool{}
	for _, r := range rowsOf(t, l, same, jobstore.ByScore) {
		seen[[2]int{r.FastPeriod, r.SlowPeriod}] = true
	}
	require.Len(t, seen, n)
	// A reader may stop early, and write while it reads.
	for _, err := range l.Results(t.Context(), h.TenantID, h.JobID, jobstore.ByScore) {
		require.NoError(t, err)
		apply(t, l, Notified(t, h, "log"))
		break
	}
}
