// Package jobstoretest holds every implementation of the job store to the same
// behaviour.
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

// Exercise runs the suite. open returns a job store on an empty database of its
// own, with its schema in place, and closes it when the test ends.
func Exercise(t *testing.T, open func(t *testing.T) jobstore.Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(*testing.T, jobstore.Store)
	}{
		{"a job's life", life},
		{"events in any order", anyOrder},
		{"a batch is as good as single events", batches},
		{"a failed job", failure},
		{"the results cannot be had", failedFetch},
		{"any split of any order", anySplit},
		{"contradicting ends in one batch", contradiction},
		{"pages of rows", collectPages},
		{"pages of another run", collectOtherRun},
		{"pages of a job that has ended", collectLate},
		{"pages at once", collectAtOnce},
		{"pages of many jobs", collectMany},
		{"failed pages are counted", collectFailures},
		{"ends and pages at once", endsAndPages},
		{"the first end wins", firstEndWins},
		{"ends at once", concurrentEnds},
		{"late events touch the timeline alone", late},
		{"an unreadable event costs only itself", unreadable},
		{"times that JSON cannot tell", hostileTimes},
		{"foreign events change nothing", foreign},
		{"hostile text", hostileText},
		{"hostile figures", hostileFigures},
		{"one row for each parameter set", duplicateRows},
		{"many rows", manyRows},
		{"pages", pages},
		{"best score first", byScore},
		{"filters", filters},
		{"cancelled is a state of its own", cancelled},
		{"jobs by interval", activity},
		{"retries of jobs", retries},
		{"rows in any order", sortedRows},
		{"tenants", tenants},
		{"pages of pending jobs", pendingPages},
		{"jobs of all tenants by id", lookup},
		{"an event that is sent again is the same step", sentAgain},
		{"late ends keep their lines", lateLines},
		{"batches at once", concurrentBatches},
		{"rows assessed", assessedRows},
		{"nothing there", nothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

// Start is the creation time of the jobs made here.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// Header makes a new job.
func Header(tenant string) job.Header {
	return job.Header{
		JobID: job.NewID(), TenantID: tenant, JobType: job.Type, CreatedAt: Start,
		Parameters: job.Sweep{Ticker: "DAX", FastRange: [2]int{5, 20}, SlowRange: [2]int{10, 50}, Step: 5, MinTrades: 50, StrategyType: job.SMA},
	}
}

// Events are the events of one job's life.
type Events struct {
	Requested, Submitted, Again, Completed, Failed cloudevents.Event
}

// Life builds the events of a job.
func Life(t testing.TB, h job.Header) Events {
	t.Helper()
	at := func(s int) time.Time { return h.CreatedAt.Add(time.Duration(s) * time.Second) }
	must := func(e cloudevents.Event, err error) cloudevents.Event {
		require.NoError(t, err)
		return e
	}
	second := at(5)
	return Events{
		Requested: must(event.NewRequested(event.Requested{Header: h})),
		Submitted: must(event.NewSubmitted(event.Submitted{Header: h, TradingJobID: "t-1", SubmittedAt: at(1), Turn: 1})),
		Again:     must(event.NewSubmitted(event.Submitted{Header: h, TradingJobID: "t-2", SubmittedAt: at(5), Turn: 2})),
		Completed: must(event.NewCompleted(event.Completed{Header: h, TradingJobID: "t-2", SweepRunID: "run-1", Turn: 2, SubmittedAt: &second, CompletedAt: at(90), ExecutionSeconds: 80, Via: event.ViaCallback})),
		Failed:    must(event.NewFailed(event.Failed{Header: h, TradingJobID: "t-2", ErrorCode: job.TimedOut, ErrorMessage: "no result", Turn: 2, SubmittedAt: &second, FailedAt: at(91), Via: event.ViaDeadline})),
	}
}

// Notified builds a job's notification.
func Notified(t testing.TB, h job.Header, channel string) cloudevents.Event {
	t.Helper()
	e, err := event.NewNotified(event.Notified{Header: h, Channel: channel, NotifiedAt: h.CreatedAt.Add(2 * time.Minute)})
	require.NoError(t, err)
	return e
}

// Rows makes n rows of distinct parameters; row i has score i/100.
func Rows(n int) []job.Row {
	rows := make([]job.Row, n)
	for i := range rows {
		annual, calmar := float64(i)/3, -0.25
		rows[i] = job.Row{
			Ticker: "DAX", StrategyType: job.SMA, FastPeriod: i/400 + 1, SlowPeriod: i%400 + 2, Score: float64(i) / 100,
			SharpeRatio: 1.25, SortinoRatio: 1.5, TotalReturnPct: 12.345678, AnnualizedReturn: &annual, MaxDrawdownPct: -20.5,
			WinRatePct: 55, ProfitFactor: 1.1, TotalTrades: 60 + i, CalmarRatio: &calmar, ResultID: fmt.Sprint("r-", i),
		}
	}
	return rows
}

// Collected builds the event that tells that rows are stored.
func Collected(t testing.TB, h job.Header, rows []job.Row) cloudevents.Event {
	t.Helper()
	e, err := event.NewCollected(collected(h, rows))
	require.NoError(t, err)
	return e
}

func collected(h job.Header, rows []job.Row) event.Collected {
	second, s := h.CreatedAt.Add(5*time.Second), jobstore.Summarize(rows)
	return event.Collected{
		Header: h, TradingJobID: "t-2", SweepRunID: "run-1", Turn: 2, SubmittedAt: &second, CompletedAt: h.CreatedAt.Add(90 * time.Second),
		ExecutionSeconds: 80, CollectedAt: h.CreatedAt.Add(95 * time.Second), Rows: s.Rows, Total: len(rows), BestScore: s.BestScore, Best: s.Best,
	}
}

func apply(t *testing.T, l jobstore.Store, events ...cloudevents.Event) {
	t.Helper()
	out := l.Apply(t.Context(), events...)
	require.Len(t, out, len(events))
	require.NoError(t, jobstore.Errors(out))
}

// finish applies an event that ends its job.
func finish(t *testing.T, l jobstore.Store, e cloudevents.Event) jobstore.Applied {
	t.Helper()
	a := l.Apply(t.Context(), e)[0]
	require.NoError(t, a.Err)
	require.NotNil(t, a.Job, "the event ends its job")
	return a
}

// collect stores rows as one page.
func collect(t testing.TB, l jobstore.Store, h job.Header, rows []job.Row) jobstore.Collection {
	t.Helper()
	c, err := l.Collect(t.Context(), page(h, rows))
	require.NoError(t, err)
	return c[0]
}

func page(h job.Header, rows []job.Row) jobstore.ResultPage {
	return jobstore.ResultPage{Header: h, SweepRunID: "run-1", Next: len(rows), Total: len(rows), Last: true, Rows: rows}
}

// Complete takes a job from its sweep's completion to its end, as collect and
// store do.
func Complete(t testing.TB, l jobstore.Store, h job.Header, rows []job.Row) jobstore.Applied {
	t.Helper()
	require.NoError(t, jobstore.Errors(l.Apply(t.Context(), Life(t, h).Completed)))
	collect(t, l, h, rows)
	a := l.Apply(t.Context(), Collected(t, h, rows))[0]
	require.NoError(t, a.Err)
	require.NotNil(t, a.Job)
	return a
}

func get(t *testing.T, l jobstore.Store, h job.Header) job.Job {
	t.Helper()
	j, err := l.Job(t.Context(), h.TenantID, h.JobID)
	require.NoError(t, err)
	return j
}

func rowsOf(t *testing.T, l jobstore.Store, h job.Header, by jobstore.RowQuery) []job.Row {
	t.Helper()
	var rows []job.Row
	for r, err := range l.Results(t.Context(), h.TenantID, h.JobID, by) {
		require.NoError(t, err)
		rows = append(rows, r)
	}
	return rows
}

func timeline(t *testing.T, l jobstore.Store, h job.Header) (types []string) {
	t.Helper()
	events, err := l.Timeline(t.Context(), h.TenantID, h.JobID)
	require.NoError(t, err)
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}
