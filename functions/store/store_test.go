package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/store"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/ledger/ledgertest"
	"github.com/zixly/sweepline/shared/ledger/sqlite"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/trading"
)

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// api stands for the trading API: rows, or an error after some of them.
type api struct {
	rows  []job.Row
	err   error
	calls atomic.Int32
	// most, where it is set, is how many rows one call gives before err.
	most int
}

func (a *api) ResultsFrom(_ context.Context, runID, ticker string, offset int) iter.Seq2[job.Row, error] {
	a.calls.Add(1)
	return func(yield func(job.Row, error) bool) {
		if runID != "run-1" || ticker != "DAX" {
			yield(job.Row{}, errors.New("asked for the wrong sweep"))
			return
		}
		for i, r := range a.rows[offset:] {
			if a.most > 0 && i == a.most {
				yield(job.Row{}, a.err)
				return
			}
			if !yield(r, nil) {
				return
			}
		}
		if a.err != nil && a.most == 0 {
			yield(job.Row{}, a.err)
		}
	}
}

// lines is a log that tests can read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) all(t *testing.T) (out []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		out = append(out, m)
	}
	return out
}

type bundle struct {
	*store.Function
	ledger *sqlite.Ledger
	api    *api
	log    *lines
	header job.Header
	events ledgertest.Events
}

func setup(t *testing.T) bundle {
	t.Helper()
	l, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	b := bundle{ledger: l, api: &api{rows: ledgertest.Rows(25)}, log: &lines{}, header: ledgertest.Header("acme")}
	b.events = ledgertest.Life(t, b.header)
	for _, e := range []*cloudevents.Event{&b.events.Requested, &b.events.Submitted, &b.events.Completed, &b.events.Failed} {
		e.SetExtension(event.ExtTraceParent, traceParent)
	}
	b.Function, err = store.New(store.Config{FetchTimeout: time.Minute}, l, b.api, telemetry.NewLogger(b.log, slog.LevelInfo))
	require.NoError(t, err)
	return b
}

func (b bundle) job(t *testing.T) job.Job {
	t.Helper()
	j, err := b.ledger.Job(t.Context(), b.header.TenantID, b.header.JobID)
	require.NoError(t, err)
	return j
}

// give hands an event in twice and wants the same answer both times.
func (b bundle) give(t *testing.T, e cloudevents.Event) *cloudevents.Event {
	t.Helper()
	first, err := b.Handle(t.Context(), e)
	require.NoError(t, err)
	second, err := b.Handle(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, first, second)
	return first
}

func TestACompletedJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Nil(t, b.give(t, b.events.Requested))
	require.Equal(t, job.Queued, b.job(t).Status)
	require.Nil(t, b.give(t, b.events.Submitted))
	require.Equal(t, job.Running, b.job(t).Status)

	reply := b.give(t, b.events.Completed)
	require.Equal(t, event.JobCompleted, reply.Type())
	require.Equal(t, b.header.JobID+"/job", reply.ID())
	require.Equal(t, traceParent, reply.Extensions()[event.ExtTraceParent])
	d, err := event.Data[event.Finished](*reply)
	require.NoError(t, err)
	require.Equal(t, b.job(t), d.Job)
	require.Equal(t, job.Completed, d.Job.Status)
	require.Equal(t, &job.Metrics{Combinations: 25, BestScore: 0.24, ExecutionSeconds: 80}, d.Job.Metrics)
	require.Len(t, d.Job.Results, 10)
	require.EqualValues(t, 1, b.api.calls.Load(), "a redelivery fetched the rows again")

	require.Nil(t, b.give(t, ledgertest.Notified(t, b.header, "log")))
	log := b.log.all(t)
	require.Len(t, log, 1)
	for key, want := range map[string]any{
		"msg": "Job completed", "job_id": b.header.JobID, "job_type": job.Type, "tenant_id": "acme", "ticker": "DAX", "status": "completed",
		"duration_seconds": 90.0, "sweep_run_id": "run-1", "started_at": "2026-03-01T12:00:01.123456Z", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
	} {
		require.Equal(t, want, log[0][key], key)
	}
}

func TestAFailedJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reply := b.give(t, b.events.Failed)
	require.Equal(t, event.JobFailed, reply.Type())
	require.Equal(t, traceParent, reply.Extensions()[event.ExtTraceParent])
	// A second end gets the first one told again.
	again := b.give(t, b.events.Completed)
	require.Equal(t, event.JobFailed, again.Type())
	require.Equal(t, reply.ID(), again.ID())
	require.Zero(t, b.api.calls.Load())
	log := b.log.all(t)
	require.Len(t, log, 1)
	require.Equal(t, "Job failed", log[0]["msg"])
	require.Equal(t, "failed", log[0]["status"])
	require.Equal(t, "timed_out", log[0]["error_code"])
}

func TestALateEndTellsNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	late, err := event.NewCompleted(event.Completed{Header: b.header, SweepRunID: "run-1", CompletedAt: ledgertest.Start, Via: event.ViaPoll, Late: true})
	require.NoError(t, err)
	require.Nil(t, b.give(t, late))
	require.Equal(t, job.Queued, b.job(t).Status)
	require.Zero(t, b.api.calls.Load())
}

// refused is an error in the way of shared/trading.
type refused bool

func (r refused) Error() string   { return "trading API answered 404" }
func (r refused) Permanent() bool { return bool(r) }

func TestResultsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.api.err = refused(true)
	reply := b.give(t, b.events.Completed)
	require.Equal(t, event.JobFailed, reply.Type())
	j := b.job(t)
	require.Equal(t, job.Failed, j.Status)
	require.Equal(t, job.SweepFailed, j.ErrorCode)
	require.Contains(t, j.ErrorMessage, "404")
}

func TestAnAPIThatIsAwayIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, err := range []error{refused(false), io.ErrUnexpectedEOF} {
		b := setup(t)
		b.api.err = err
		reply, got := b.Handle(t.Context(), b.events.Completed)
		require.Nil(t, reply)
		require.ErrorIs(t, got, err)
		require.False(t, rejected(got))
		_, missing := b.ledger.Job(t.Context(), "acme", b.header.JobID)
		require.ErrorIs(t, missing, ledger.ErrNotFound, "half of a sweep was stored")
		b.api.err = nil
		require.Equal(t, event.JobCompleted, b.give(t, b.events.Completed).Type())
	}
}

// TestAnInterruptedFetchGoesOn: each delivery gets ten rows further, since the
// API's limit of calls may not leave enough for all of them in one.
func TestAnInterruptedFetchGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.api.most, b.api.err = 10, io.ErrUnexpectedEOF
	for range 2 {
		_, err := b.Handle(t.Context(), b.events.Completed)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	reply, err := b.Handle(t.Context(), b.events.Completed)
	require.NoError(t, err)
	require.Equal(t, event.JobCompleted, reply.Type())
	require.EqualValues(t, 3, b.api.calls.Load())
	require.Equal(t, 25, b.job(t).Metrics.Combinations)
}

func TestADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	l, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	require.NoError(t, err)
	f, err := store.New(store.Config{FetchTimeout: time.Minute}, l, &api{}, nil)
	require.NoError(t, err)
	ready, err := f.Ready(t.Context())
	require.NoError(t, err)
	require.True(t, ready)
	require.NoError(t, l.Close())
	for _, e := range []cloudevents.Event{setup(t).events.Requested, setup(t).events.Completed, setup(t).events.Failed} {
		_, err := f.Handle(t.Context(), e)
		require.Error(t, err)
		require.False(t, rejected(err), "%s was given up", e.Type())
	}
	ready, err = f.Ready(t.Context())
	require.False(t, ready)
	require.ErrorContains(t, err, "PostgreSQL")
}

func rejected(err error) bool {
	var r *cehttp.Result
	return protocol.ResultAs(err, &r) && r.StatusCode == http.StatusUnprocessableEntity
}

func TestUnreadableEventsAreRejected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	foreign := b.events.Requested.Clone()
	foreign.SetType("com.example.x")
	bad := b.events.Completed.Clone()
	require.NoError(t, bad.SetData("application/json", []byte(`[]`)))
	other := b.events.Failed.Clone()
	other.SetID(job.NewID() + "/failed")
	for _, e := range []cloudevents.Event{foreign, bad, other} {
		_, err := b.Handle(t.Context(), e)
		require.True(t, rejected(err), "%v", err)
		out := b.HandleBatch(t.Context(), []cloudevents.Event{b.events.Requested, e})
		require.True(t, rejected(out[1].Err), "%v", out[1].Err)
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	b, other := setup(t), setup(t)
	batch := []cloudevents.Event{other.events.Failed, b.events.Completed, b.events.Requested, other.events.Requested, b.events.Submitted}
	for range 2 {
		out := b.HandleBatch(t.Context(), batch)
		require.Len(t, out, len(batch))
		for _, o := range out {
			require.NoError(t, o.Err)
		}
		require.Equal(t, event.JobFailed, out[0].Reply.Type())
		require.Equal(t, event.JobCompleted, out[1].Reply.Type())
	}
	require.Len(t, b.log.all(t), 2)
}

func TestHostileRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := ledgertest.Rows(3)
	row := func(change func(*job.Row)) job.Row {
		r := ledgertest.Rows(1)[0]
		r.FastPeriod = 77
		change(&r)
		return r
	}
	zero := 0
	b.api.rows = append(good,
		row(func(r *job.Row) { r.Ticker = "CAC" }),
		row(func(r *job.Row) { r.StrategyType = "MACD" }),
		row(func(r *job.Row) { r.FastPeriod = 0 }),
		row(func(r *job.Row) { r.SlowPeriod = 501 }),
		row(func(r *job.Row) { r.SignalPeriod = &zero }),
		row(func(r *job.Row) { r.TotalTrades = -1 }),
		row(func(r *job.Row) { r.Ticker, r.StrategyType, r.Score = "dax", "", math.Inf(1) }),
		row(func(r *job.Row) { r.FastPeriod, r.Score, r.ResultID = 78, math.NaN(), strings.Repeat("\x00x", 500) }),
	)
	b.give(t, b.events.Completed)
	j := b.job(t)
	require.Equal(t, job.Completed, j.Status)
	require.Equal(t, 5, j.Metrics.Combinations)
	require.Equal(t, float64(ledger.Largest), j.Metrics.BestScore)
	for r, err := range b.ledger.Results(t.Context(), "acme", j.JobID, ledger.ByScore) {
		require.NoError(t, err)
		require.Equal(t, "DAX", r.Ticker)
		require.Equal(t, job.SMA, r.StrategyType)
	}
	require.Equal(t, 6.0, b.log.all(t)[0]["dropped"])
}

func TestRowsOfAnotherSweepFailTheJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range b.api.rows {
		b.api.rows[i].Ticker = "CAC"
	}
	require.Equal(t, event.JobFailed, b.give(t, b.events.Completed).Type())
	require.Equal(t, "none of the 25 result rows belongs to this sweep", b.job(t).ErrorMessage)
}

func TestASweepWithoutRowsIsComplete(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.api.rows = nil
	require.Equal(t, event.JobCompleted, b.give(t, b.events.Completed).Type())
	require.Equal(t, &job.Metrics{ExecutionSeconds: 80}, b.job(t).Metrics)
}

func TestTheSameEndManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := b.Handle(t.Context(), b.events.Completed); err != nil {
				t.Errorf("handle: %v", err)
			}
		})
	}
	wg.Wait()
	require.Len(t, b.log.all(t), 1)
	require.Equal(t, 25, b.job(t).Metrics.Combinations)
}

// The real client's errors are told apart the same way.
func TestWithTheTradingClient(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{http.StatusNotFound: event.JobFailed, http.StatusServiceUnavailable: "", http.StatusTooManyRequests: ""} {
		b := setup(t)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		defer server.Close()
		client, err := trading.New(trading.Config{URL: server.URL})
		require.NoError(t, err)
		f, err := store.New(store.Config{FetchTimeout: time.Minute}, b.ledger, client, nil)
		require.NoError(t, err)
		reply, err := f.Handle(t.Context(), b.events.Completed)
		if want == "" {
			require.Error(t, err)
			require.False(t, rejected(err))
		} else {
			require.NoError(t, err)
			require.Equal(t, want, reply.Type())
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := store.New(store.Config{FetchTimeout: 1}, nil, b.api, nil)
	require.Error(t, err)
	_, err = store.New(store.Config{FetchTimeout: 1}, b.ledger, nil, nil)
	require.Error(t, err)
	_, err = store.New(store.Config{}, b.ledger, b.api, nil)
	require.ErrorContains(t, err, "STORE_FETCH_TIMEOUT")
}

func TestFromEnv(t *testing.T) {
	for name, value := range map[string]string{"DATABASE_URL": "postgres://u:secret@127.0.0.1:1/x", "TRADING_API_URL": "http://127.0.0.1:1"} {
		t.Setenv(name, value)
	}
	f, err := store.FromEnv(t.Context())
	require.NoError(t, err, "a database that is down keeps the function from starting")
	require.NoError(t, f.Stop(t.Context()))
	t.Setenv("DATABASE_URL", "")
	_, err = store.FromEnv(t.Context())
	require.ErrorContains(t, err, "DATABASE_URL")
}
