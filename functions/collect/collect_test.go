package collect_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/collect"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/jobstore/sqlite"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/trading"
)

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// api stands for the trading API: pages of ten rows, and errors in between.
type api struct {
	mu   sync.Mutex
	rows []job.Row
	// errs are the errors of the next calls; nil is a page.
	errs []error
	// offsets are those asked for, in order.
	offsets []int
	// hold, where it is set, keeps a call until it is closed or the call ends.
	hold chan struct{}
}

func (a *api) Page(ctx context.Context, runID, ticker string, offset int) (trading.Page, error) {
	a.mu.Lock()
	a.offsets = append(a.offsets, offset)
	var err error
	if len(a.errs) > 0 {
		err, a.errs = a.errs[0], a.errs[1:]
	}
	hold := a.hold
	a.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return trading.Page{}, ctx.Err()
		}
	}
	switch {
	case err != nil:
		return trading.Page{}, err
	case runID != "run-1" || ticker != "DAX":
		return trading.Page{}, errors.New("asked for the wrong sweep")
	}
	end := min(offset+10, len(a.rows))
	return trading.Page{Rows: a.rows[offset:end], Total: len(a.rows), Last: end == len(a.rows), Synthetic: end > 0 && a.rows[0].Synthetic, Data: prices}, nil
}

// prices are what all sweeps are computed on.
var prices = &job.Data{Source: "DAX.csv", FirstDay: "2020-01-02", LastDay: "2024-12-30", Bars: 1250, Hash: "sha256:0"}

func (a *api) asked() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int{}, a.offsets...)
}

type bundle struct {
	*collect.Function
	jobStore *sqlite.Store
	api      *api
	cfg      collect.Config
	header   job.Header
	events   jobstoretest.Events
}

func setup(t *testing.T) *bundle {
	t.Helper()
	l, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "jobs.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	b := &bundle{jobStore: l, api: &api{rows: jobstoretest.Rows(25)}, cfg: collect.Config{Timeout: time.Minute, Attempts: 3}, header: jobstoretest.Header("acme")}
	b.events = jobstoretest.Life(t, b.header)
	b.events.Completed.SetExtension(event.ExtTraceParent, traceParent)
	b.restart(t)
	return b
}

// restart gives the bundle another process' function: nothing is left in memory.
func (b *bundle) restart(t *testing.T) {
	t.Helper()
	f, err := collect.New(b.cfg, b.jobStore, b.api, collect.Unpaced, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Stop(context.Background())) })
	b.Function = f
}

// end delivers the completed event and wants a reply.
func (b *bundle) end(t *testing.T) cloudevents.Event {
	t.Helper()
	reply, err := b.Handle(t.Context(), b.events.Completed)
	require.NoError(t, err)
	require.NotNil(t, reply)
	require.Equal(t, traceParent, reply.Extensions()[event.ExtTraceParent])
	return *reply
}

// job ends the job by a reply, as store does.
func (b *bundle) job(t *testing.T, reply cloudevents.Event) job.Job {
	t.Helper()
	a := b.jobStore.Apply(t.Context(), reply)[0]
	require.NoError(t, a.Err)
	return *a.Job
}

func (b *bundle) rows(t *testing.T) (n int) {
	t.Helper()
	for _, err := range b.jobStore.Results(t.Context(), "acme", b.header.JobID, jobstore.ByScore) {
		require.NoError(t, err)
		n++
	}
	return n
}

// later is the error of a delivery that goes on, and how soon.
func later(t *testing.T, err error) time.Duration {
	t.Helper()
	var u *sink.Unavailable
	require.ErrorAs(t, err, &u)
	return u.RetryAfter
}

func rejected(err error) bool {
	var r *cehttp.Result
	return protocol.ResultAs(err, &r) && r.StatusCode == http.StatusUnprocessableEntity
}

func TestACompletedSweep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reply := b.end(t)
	require.Equal(t, event.SweepCollected, reply.Type())
	require.Equal(t, b.header.JobID+"/collected", reply.ID())
	require.Equal(t, []int{0, 10, 20}, b.api.asked())
	d, err := event.Data[event.Collected](reply)
	require.NoError(t, err)
	require.Equal(t, [2]int{25, 25}, [2]int{d.Rows, d.Total})
	rows := slices.Clone(b.api.rows)
	heatmap.JudgeRows(rows, b.header.Parameters.Step)
	require.NotNil(t, rows[24].NeighbourWorst)
	require.Equal(t, jobstore.Summarize(rows).Best, d.Best, "with what is around them")
	packed, err := b.jobStore.Surface(t.Context(), "acme", b.header.JobID)
	require.NoError(t, err)
	surface, err := heatmap.DecodeSurface(packed)
	require.NoError(t, err)
	want, ok := heatmap.OfRows(rows, b.header.Parameters.Step)
	require.True(t, ok)
	want.Top = jobstore.CleanAll(rows)[:heatmap.TopRows]
	require.Equal(t, want, surface)
	require.Equal(t, job.Running, mustJob(t, b).Status, "store ends the job")
	require.Equal(t, &job.Collecting{Rows: 25, Total: 25}, mustJob(t, b).Collecting)

	j := b.job(t, reply)
	require.Equal(t, job.Completed, j.Status)
	require.Equal(t, &job.Metrics{Combinations: 25, BestScore: 0.24, ExecutionSeconds: 80, Data: prices}, j.Metrics)
	require.Equal(t, "run-1", j.SweepRunID)
	require.Equal(t, 90.0, *j.DurationSeconds)
	require.Len(t, j.Results, jobstore.BestRows)
	require.Equal(t, 25, b.rows(t))

	again, err := b.Handle(t.Context(), b.events.Completed)
	require.NoError(t, err)
	require.Nil(t, again, "a job that has ended is left alone")
	require.Len(t, b.api.asked(), 3)
}

func mustJob(t *testing.T, b *bundle) job.Job {
	t.Helper()
	j, err := b.jobStore.Job(t.Context(), "acme", b.header.JobID)
	require.NoError(t, err)
	return j
}

func TestARepeatBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 7, 10, 25} {
		b := setup(t)
		b.api.rows = jobstoretest.Rows(n)
		for i := range b.api.rows {
			b.api.rows[i].Synthetic = true
		}
		first := b.end(t)
		b.restart(t)
		second := b.end(t)
		require.Equal(t, first.ID(), second.ID())
		one, err := event.Data[event.Collected](first)
		require.NoError(t, err)
		two, err := event.Data[event.Collected](second)
		require.NoError(t, err)
		one.CollectedAt = two.CollectedAt
		require.Equal(t, one, two, "of %d rows", n)
		require.Equal(t, n > 0, two.Synthetic)
		require.Equal(t, prices, two.Data)
		require.Equal(t, prices, b.job(t, second).Metrics.Data, "in the store as well")
		require.Equal(t, n, b.rows(t))
		require.Equal(t, n, b.job(t, second).Metrics.Combinations)
	}
}

// TestTheAPIForgetsWhatIsStored: all rows are stored, the reply that said so was lost, and
// then the API cannot be asked any more.
func TestTheAPIForgetsWhatIsStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.end(t)
	b.restart(t)
	b.api.errs = []error{&trading.Error{Op: "read results", Status: 404, Detail: "no such sweep"}}
	second := b.end(t)
	require.Equal(t, first.ID(), second.ID())
	require.Equal(t, 25, b.job(t, second).Metrics.Combinations)
	require.Equal(t, 25, b.rows(t))
}

// TestItGoesOnWhereAnotherProcessStopped: no page is asked for twice, but the
// one that was interrupted.
// A completion that is sent again, because the store never heard of what became
// of it, is answered by a collected that is new to the broker as well.
func TestACompletionThatIsSentAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, err := b.Handle(t.Context(), b.events.Completed)
	require.NoError(t, err)
	again, err := b.Handle(t.Context(), event.Again(b.events.Completed, 2))
	require.NoError(t, err)
	require.Equal(t, first.ID()+"/again-2", again.ID())
	require.Equal(t, first.Type(), again.Type())
}

func TestItGoesOnWhereAnotherProcessStopped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.api.errs = []error{nil, io.ErrUnexpectedEOF}
	_, err := b.Handle(t.Context(), b.events.Completed)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, &job.Collecting{Rows: 10, Total: 25}, mustJob(t, b).Collecting)
	b.restart(t)
	b.api.errs = []error{nil, io.ErrUnexpectedEOF}
	_, err = b.Handle(t.Context(), b.events.Completed)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	b.restart(t)
	reply := b.end(t)
	require.Equal(t, []int{0, 10, 10, 20, 20}, b.api.asked())
	require.Equal(t, 25, b.job(t, reply).Metrics.Combinations)
}

// TestADeliveryHasItsTime: what it leaves is for the next, soon.
func TestADeliveryHasItsTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.Timeout = 50 * time.Millisecond
	b.restart(t)
	b.api.hold = make(chan struct{})
	_, err := b.Handle(t.Context(), b.events.Completed)
	require.Equal(t, time.Second, later(t, err))
	close(b.api.hold)
	b.cfg.Timeout = time.Minute
	b.restart(t)
	require.Equal(t, event.SweepCollected, b.end(t).Type())
}

// TestTwoDeliveriesAtOnce share the pages: each is stored once.
func TestTwoDeliveriesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.api.rows = jobstoretest.Rows(200)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			reply, err := b.Handle(context.WithoutCancel(t.Context()), b.events.Completed)
			if err != nil || reply == nil {
				t.Errorf("handle: %v", err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 200, b.rows(t))
	require.Equal(t, 200, b.job(t, b.end(t)).Metrics.Combinations)
}

func TestManySweepsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ended atomic.Int32
	var wg sync.WaitGroup
	for range 40 {
		h := jobstoretest.Header("acme")
		wg.Go(func() {
			reply, err := b.Handle(context.WithoutCancel(t.Context()), jobstoretest.Life(t, h).Completed)
			if err != nil || reply.Type() != event.SweepCollected {
				t.Errorf("handle: %v", err)
				return
			}
			if a := b.jobStore.Apply(context.WithoutCancel(t.Context()), *reply)[0]; a.Err == nil && a.Job.Metrics.Combinations == 25 {
				ended.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 40, ended.Load())
}

func TestALateEndIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	late, err := event.NewCompleted(event.Completed{Header: b.header, SweepRunID: "run-1", CompletedAt: jobstoretest.Start, Via: event.ViaPoll, Late: true})
	require.NoError(t, err)
	reply, err := b.Handle(t.Context(), late)
	require.NoError(t, err)
	require.Nil(t, reply)
	// So is one whose job was cancelled.
	require.NoError(t, jobstore.Errors(b.jobStore.Apply(t.Context(), b.events.Failed)))
	reply, err = b.Handle(t.Context(), b.events.Completed)
	require.NoError(t, err)
	require.Nil(t, reply)
	require.Empty(t, b.api.asked())
}

// TestACancelBetweenPages ends the collection.
func TestACancelBetweenPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.api.errs = []error{nil, io.ErrUnexpectedEOF}
	_, err := b.Handle(t.Context(), b.events.Completed)
	require.Error(t, err)
	b.api.hold = make(chan struct{})
	replies := make(chan *cloudevents.Event)
	go func() {
		reply, err := b.Handle(context.WithoutCancel(t.Context()), b.events.Completed)
		if err != nil {
			t.Errorf("handle: %v", err)
		}
		replies <- reply
	}()
	require.Eventually(t, func() bool { return len(b.api.asked()) == 3 }, time.Minute, time.Millisecond)
	require.NoError(t, jobstore.Errors(b.jobStore.Apply(t.Context(), b.events.Failed)))
	close(b.api.hold)
	require.Nil(t, <-replies)
	require.Zero(t, b.rows(t), "a failed job has no rows")
}

// TestAPageThatCanNeverBeRead ends the job after as many attempts as are
// configured, whatever processes make them; a page that is stored clears the
// count.
func TestAPageThatCanNeverBeRead(t *testing.T) {
	t.Parallel()
	for _, cause := range []*trading.Error{{Op: "read results", Status: 404, Detail: "no such sweep"}, {Op: "read results", Status: 200, Detail: "a row's periods are no numbers"}} {
		b := setup(t)
		b.api.errs = []error{cause, cause, nil, cause, cause, cause}
		var last error
		for range 4 {
			_, last = b.Handle(t.Context(), b.events.Completed)
			require.Positive(t, later(t, last))
			b.restart(t)
		}
		reply := b.end(t)
		require.Equal(t, event.SweepFailed, reply.Type())
		require.Equal(t, b.header.JobID+"/failed", reply.ID())
		require.Equal(t, "/sweepline/collect", reply.Source())
		require.Equal(t, []int{0, 0, 0, 10, 10, 10}, b.api.asked())
		j := b.job(t, reply)
		require.Equal(t, job.Failed, j.Status)
		require.Equal(t, job.SweepFailed, j.ErrorCode)
		require.Contains(t, j.ErrorMessage, "the results cannot be read: rows from 10: "+cause.Error())
		require.Equal(t, "run-1", j.SweepRunID)
		require.Zero(t, b.rows(t))
	}
}

func TestAnAPIThatIsAwayIsAskedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 10 {
		b.api.errs = []error{&trading.Error{Op: "read results", Status: 503, RetryAfter: 17 * time.Second}}
		_, err := b.Handle(t.Context(), b.events.Completed)
		require.Equal(t, 17*time.Second, later(t, err), "as the API asks")
	}
	for _, status := range []int{0, 429, 500} {
		b.api.errs = []error{&trading.Error{Op: "read results", Status: status}}
		_, err := b.Handle(t.Context(), b.events.Completed)
		require.Positive(t, later(t, err))
	}
	require.Equal(t, event.SweepCollected, b.end(t).Type(), "none of it counts")
}

func TestABudgetThatIsAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	f, err := collect.New(b.cfg, b.jobStore, b.api, func(context.Context) error { return io.EOF }, nil)
	require.NoError(t, err)
	_, err = f.Handle(t.Context(), b.events.Completed)
	require.Positive(t, later(t, err))
	require.Empty(t, b.api.asked())
	require.NoError(t, f.Stop(t.Context()))
}

func TestADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	for name, want := range map[error]func(error) bool{
		jobstore.ErrUnavailable: func(err error) bool { return later(t, err) == 5*time.Second },
		jobstore.ErrUnusable:    func(err error) bool { return later(t, err) == 30*time.Second },
		jobstore.ErrUnreadable:  rejected,
		io.ErrClosedPipe: func(err error) bool {
			var u *sink.Unavailable
			return errors.Is(err, io.ErrClosedPipe) && !errors.As(err, &u) && !rejected(err)
		},
	} {
		b := setup(t)
		f, err := collect.New(b.cfg, broken{b.jobStore, name}, b.api, collect.Unpaced, nil)
		require.NoError(t, err)
		_, err = f.Handle(t.Context(), b.events.Completed)
		require.True(t, want(err), "%v: %v", name, err)
		require.NoError(t, f.Stop(t.Context()))
	}
	b := setup(t)
	ready, err := b.Ready(t.Context())
	require.NoError(t, err)
	require.True(t, ready)
}

// broken is a job store that stores no page.
type broken struct {
	*sqlite.Store
	err error
}

func (b broken) Collect(context.Context, ...jobstore.ResultPage) ([]jobstore.Collection, error) {
	return nil, b.err
}

func TestUnreadableEventsAreRejected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bad := b.events.Completed.Clone()
	require.NoError(t, bad.SetData("application/json", []byte(`[]`)))
	noRun, err := event.NewCompleted(event.Completed{Header: b.header, Via: event.ViaPoll})
	require.NoError(t, err)
	noJob := b.header
	noJob.JobID = "x"
	stranger, err := event.NewCompleted(event.Completed{Header: noJob, SweepRunID: "run-1", Via: event.ViaPoll})
	require.NoError(t, err)
	for _, e := range []cloudevents.Event{b.events.Requested, bad, noRun, stranger} {
		_, err := b.Handle(t.Context(), e)
		require.True(t, rejected(err), "%v", err)
	}
	// A job of another tenant.
	require.NoError(t, jobstore.Errors(b.jobStore.Apply(t.Context(), b.events.Requested)))
	thief := b.header
	thief.TenantID = "thief"
	_, err = b.Handle(t.Context(), jobstoretest.Life(t, thief).Completed)
	require.True(t, rejected(err), "%v", err)
	require.Empty(t, b.api.asked())
}

func TestHostileRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := jobstoretest.Rows(3)
	row := func(change func(*job.Row)) job.Row {
		r := jobstoretest.Rows(1)[0]
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
	j := b.job(t, b.end(t))
	require.Equal(t, job.Completed, j.Status)
	require.Equal(t, 5, j.Metrics.Combinations)
	require.Equal(t, float64(jobstore.Largest), j.Metrics.BestScore)
	for r, err := range b.jobStore.Results(t.Context(), "acme", j.JobID, jobstore.ByScore) {
		require.NoError(t, err)
		require.Equal(t, "DAX", r.Ticker)
		require.Equal(t, job.SMA, r.StrategyType)
	}
}

func TestRowsOfAnotherSweepFailTheJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range b.api.rows {
		b.api.rows[i].Ticker = "CAC"
	}
	reply := b.end(t)
	require.Equal(t, event.SweepFailed, reply.Type())
	require.Contains(t, b.job(t, reply).ErrorMessage, "all 25 result rows belong to other sweeps")
}

// endless is an API that pages in circles.
type endless struct {
	total int
	asked atomic.Int32
}

func (e *endless) Page(_ context.Context, _, _ string, _ int) (trading.Page, error) {
	e.asked.Add(1)
	return trading.Page{Rows: make([]job.Row, 50_000), Total: e.total}, nil
}

func TestAnAPIThatPagesInCircles(t *testing.T) {
	t.Parallel()
	for total, calls := range map[int]int32{-1: 6, math.MaxInt32: 1} { // one that says it beforehand is believed
		b := setup(t)
		api := &endless{total: total}
		f, err := collect.New(b.cfg, b.jobStore, api, collect.Unpaced, nil)
		require.NoError(t, err)
		reply, err := f.Handle(t.Context(), b.events.Completed)
		require.NoError(t, err)
		require.Contains(t, b.job(t, *reply).ErrorMessage, "more rows than a sweep can have")
		require.Equal(t, calls, api.asked.Load())
		require.NoError(t, f.Stop(t.Context()))
	}
}

// The real client's errors are told apart the same way.
func TestWithTheTradingClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status := http.StatusServiceUnavailable
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", strconv.Itoa(9))
		w.WriteHeader(status)
	}))
	defer server.Close()
	client, err := trading.New(trading.Config{URL: server.URL})
	require.NoError(t, err)
	defer client.Close()
	f, err := collect.New(b.cfg, b.jobStore, client, collect.Unpaced, nil)
	require.NoError(t, err)
	for range b.cfg.Attempts {
		_, err = f.Handle(t.Context(), b.events.Completed)
		require.Equal(t, 9*time.Second, later(t, err))
	}
	for _, status = range []int{http.StatusNotFound, http.StatusOK} { // 200 without a body cannot be read
		_, err = f.Handle(t.Context(), b.events.Completed)
		later(t, err)
	}
	reply, err := f.Handle(t.Context(), b.events.Completed)
	require.NoError(t, err)
	require.Equal(t, event.SweepFailed, reply.Type())
	require.NoError(t, f.Stop(t.Context()))
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := collect.Config{Timeout: 1, Attempts: 1}
	_, err := collect.New(good, nil, b.api, collect.Unpaced, nil)
	require.Error(t, err)
	_, err = collect.New(good, b.jobStore, nil, collect.Unpaced, nil)
	require.Error(t, err)
	_, err = collect.New(good, b.jobStore, b.api, nil, nil)
	require.Error(t, err)
	_, err = collect.New(collect.Config{Timeout: -1, Attempts: 1}, b.jobStore, b.api, collect.Unpaced, nil)
	require.ErrorContains(t, err, "COLLECT_TIMEOUT")
	_, err = collect.New(collect.Config{Timeout: 1, Attempts: -1}, b.jobStore, b.api, collect.Unpaced, nil)
	require.ErrorContains(t, err, "COLLECT_ATTEMPTS")
}

func TestFromEnv(t *testing.T) {
	for name, value := range map[string]string{"DATABASE_URL": "postgres://u:secret@127.0.0.1:1/x", "TRADING_API_URL": "http://127.0.0.1:1"} {
		t.Setenv(name, value)
	}
	f, err := collect.FromEnv(t.Context())
	require.NoError(t, err, "a database that is down keeps the function from starting")
	require.NoError(t, f.Stop(t.Context()))
	t.Setenv("DATABASE_URL", "")
	_, err = collect.FromEnv(t.Context())
	require.ErrorContains(t, err, "DATABASE_URL")
}
