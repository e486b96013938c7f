package wait_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

func TestMain(m *testing.M) { servertest.Main(m) }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock stands still until it is moved.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(start.UnixMilli())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func open(t testing.TB, url string, cfg wait.Config) (*wait.Waits, *clock) {
	t.Helper()
	c := newClock()
	cfg.RedisURL = url
	if cfg.KeyPrefix == "" {
		cfg.KeyPrefix = "test" + job.NewID() + ":"
	}
	w, err := wait.Open(context.Background(), cfg, wait.WithClock(c.now))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w, c
}

// eachRedis runs a test on the embedded Redis and on a real one, or, within
// TestOnACluster, on the cluster.
func eachRedis(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	if onCluster(t) {
		test(t, clusterURL)
		return
	}
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(t, servertest.Miniredis(t))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, servertest.Redis(t))
	})
}

func header(tenant string) job.Header {
	return job.Header{
		JobID: job.NewID(), TenantID: tenant, JobType: job.Type, CreatedAt: start,
		Parameters: job.Sweep{Ticker: "BTC-USD", FastRange: [2]int{5, 50}, SlowRange: [2]int{20, 200}, Step: 5, MinTrades: 50, StrategyType: job.EMA},
	}
}

func TestAcceptOnce(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, _ := open(t, url, wait.Config{})
		h := header("acme")
		h.RetryOf = job.NewID()
		var fresh atomic.Int32
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				mine := h
				mine.CreatedAt = start.Add(time.Duration(i) * time.Millisecond)
				a, err := w.Accept(t.Context(), mine, "print")
				if err != nil || a.Conflict {
					t.Errorf("%+v, %v", a, err)
				}
				if !a.Replayed {
					fresh.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, fresh.Load())
		a, err := w.Accept(t.Context(), h, "other print")
		require.NoError(t, err)
		require.True(t, a.Conflict)
		r, err := w.Get(t.Context(), h.JobID)
		require.NoError(t, err)
		require.Equal(t, wait.Accepted, r.State)
		require.Equal(t, job.Queued, r.JobState())
		h.CreatedAt = r.Header.CreatedAt
		require.Equal(t, h, r.Header)
		_, err = w.Get(t.Context(), job.NewID())
		require.ErrorIs(t, err, wait.ErrUnknown)
		_, err = w.Get(t.Context(), "../x")
		require.ErrorIs(t, err, wait.ErrUnknown)
		_, err = w.Accept(t.Context(), job.Header{JobID: "x"}, "")
		require.Error(t, err)
		h.TenantID = "a/b"
		_, err = w.Accept(t.Context(), h, "")
		require.ErrorContains(t, err, "tenant")
	})
}

func TestOneAttemptIsInCharge(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{})
		h := header("acme")
		_, err := w.Accept(t.Context(), h, "")
		require.NoError(t, err)
		var inCharge atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				e, err := w.Enter(t.Context(), h)
				if err != nil {
					t.Error(err)
				}
				switch e.Decision {
				case wait.SubmitNow:
					inCharge.Add(1)
				case wait.Busy:
				default:
					t.Errorf("verdict %d", e.Decision)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, inCharge.Load())

		r, err := w.Get(t.Context(), h.JobID)
		require.NoError(t, err)
		c.advance(15 * time.Second)
		ok, err := w.Extend(t.Context(), r)
		require.NoError(t, err)
		require.True(t, ok)
		c.advance(15 * time.Second)
		e, err := w.Enter(t.Context(), h)
		require.NoError(t, err)
		require.Equal(t, wait.Busy, e.Decision, "the lease was extended")
		c.advance(6 * time.Second)
		e, err = w.Enter(t.Context(), h)
		require.NoError(t, err)
		require.Equal(t, wait.FindFirst, e.Decision, "the attempt before may have called")
		ok, err = w.Extend(t.Context(), r)
		require.NoError(t, err)
		require.False(t, ok, "the first attempt is out")
		require.NoError(t, w.Requeue(t.Context(), r, wait.RequeueReason{}), "and can't give up for the second")
		result, r, err := w.Note(t.Context(), h.JobID, "t-1", 2*time.Minute, 3*time.Minute)
		require.NoError(t, err)
		require.Equal(t, wait.Noted, result)
		require.Equal(t, job.Running, r.JobState())
		require.InDelta(t, 120, r.EstimatedSeconds, 0)
		require.Equal(t, c.now(), r.StartedAt)
		result, _, err = w.Note(t.Context(), h.JobID, "t-1", 0, time.Minute)
		require.NoError(t, err)
		require.Equal(t, wait.Noted, result)
		result, _, err = w.Note(t.Context(), h.JobID, "t-2", 0, time.Minute)
		require.NoError(t, err)
		require.Equal(t, wait.DuplicateSweep, result)
	})
}

func TestDueCostsWhatIsDue(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{MaxConcurrent: 0})
		for i := range 40 {
			h := header("acme")
			e, err := w.Enter(t.Context(), h)
			require.NoError(t, err)
			require.Equal(t, wait.FindFirst, e.Decision)
			_, _, err = w.Note(t.Context(), h.JobID, fmt.Sprint("t", i), 0, time.Duration(1+i%2)*time.Minute)
			require.NoError(t, err)
		}
		calls := func(n int) []wait.Call {
			d, err := w.AdmitNext(t.Context(), 10, n, 10*time.Second)
			require.NoError(t, err)
			require.Empty(t, d.Admitted)
			return d.Calls
		}
		require.Empty(t, calls(100))
		c.advance(time.Minute)
		due := calls(100)
		require.Len(t, due, 20)
		require.Equal(t, c.now(), due[0].Record.At)
		require.Empty(t, calls(100), "they are leased")
		c.advance(10 * time.Second)
		require.Len(t, calls(1), 1, "their holder died")
		require.Len(t, calls(100), 19)
		ok, err := w.Progress(t.Context(), due[0].Record, 40, false, time.Hour, wait.Answered())
		require.NoError(t, err)
		require.True(t, ok)
		ok, err = w.Progress(t.Context(), due[0].Record, 30, false, time.Hour, wait.Answered())
		require.NoError(t, err)
		require.True(t, ok)
		r, err := w.Get(t.Context(), due[0].Record.Header.JobID)
		require.NoError(t, err)
		require.Equal(t, 40, r.Progress, "progress never falls")
		require.Equal(t, 2, r.Tries)
	})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		prefix := "watch" + job.NewID() + ":"
		w, _ := open(t, url, wait.Config{KeyPrefix: prefix})
		other, _ := open(t, url, wait.Config{KeyPrefix: prefix})
		h := header("acme")
		_, err := other.Enter(t.Context(), h)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var watchers []<-chan wait.Record
		for range 100 {
			c, err := w.Watch(ctx, h.JobID)
			require.NoError(t, err)
			watchers = append(watchers, c)
		}
		// Once subscribed, everybody gets the record as it is.
		require.Equal(t, wait.Submitting, until(t, watchers[0], func(r wait.Record) bool { return true }).State)
		_, _, err = other.Note(t.Context(), h.JobID, "t-1", 0, time.Minute)
		require.NoError(t, err)
		for _, c := range watchers {
			until(t, c, func(r wait.Record) bool { return r.State == wait.Waiting })
		}
		_, err = other.Resolve(t.Context(), h.JobID, wait.End{RunID: "run", Via: event.ViaCallback})
		require.NoError(t, err)
		for _, c := range watchers {
			until(t, c, func(r wait.Record) bool { return r.State == wait.Completed })
		}
		cancel()
		for _, c := range watchers {
			for range c { // until it is closed
			}
		}
		_, err = w.Watch(t.Context(), "no id")
		require.ErrorIs(t, err, wait.ErrUnknown)
	})
}

func until(t *testing.T, c <-chan wait.Record, ok func(wait.Record) bool) wait.Record {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case r, open := <-c:
			require.True(t, open)
			if ok(r) {
				return r
			}
		case <-timeout:
			require.FailNow(t, "no such change was pushed")
		}
	}
}

func TestTraceOutlivesTheWait(t *testing.T) {
	t.Parallel()
	w, _ := open(t, servertest.Miniredis(t), wait.Config{})
	h := header("acme")
	ctx := telemetry.Start(t.Context())
	_, err := w.Accept(ctx, h, "")
	require.NoError(t, err)
	res, err := w.Resolve(t.Context(), h.JobID, wait.End{RunID: "run", Via: event.ViaPoll})
	require.NoError(t, err)
	e, err := res.Record.Event(t.Context())
	require.NoError(t, err)
	require.Contains(t, e.Extensions()[event.ExtTraceParent], trace.SpanContextFromContext(ctx).TraceID().String())
}

func TestConfigNamesEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := wait.Open(t.Context(), wait.Config{
		RedisURL: "redis://localhost", MaxConcurrent: -1, SlotsKept: -2, RequestsPerMinute: -1, CallbackTimeout: -time.Second,
		QueueTimeout: time.Nanosecond, BackoffMin: time.Hour,
	})
	for _, name := range []string{
		"TRADING_API_MAX_CONCURRENT", "TENANT_SLOTS_KEPT", "TRADING_API_REQUESTS_PER_MINUTE", "CALLBACK_TIMEOUT", "QUEUE_TIMEOUT", "TRADING_API_BACKOFF_MIN",
	} {
		require.ErrorContains(t, err, name)
	}
	_, err = wait.Open(t.Context(), wait.Config{RedisURL: "redis://localhost", MaxConcurrent: 3, SlotsKept: 3})
	require.ErrorContains(t, err, "TENANT_SLOTS_KEPT")
	for slots, kept := range map[int]int{0: 0, 1: 0, 2: 1, 5: 1, 8: 2, 100: 25} {
		w, err := wait.Open(t.Context(), wait.Config{RedisURL: "redis://localhost", MaxConcurrent: slots, SlotsKept: wait.Auto})
		require.NoError(t, err)
		require.Equal(t, kept, w.Config().SlotsKept, "of %d", slots)
		require.NoError(t, w.Close())
	}
	_, err = wait.Open(t.Context(), wait.Config{RedisURL: "postgres://user:hush@x"})
	require.ErrorContains(t, err, "REDIS_URL")
	require.NotContains(t, err.Error(), "hush")
	_, err = wait.New(nil, wait.Config{})
	require.Error(t, err)
}

func TestATenantHasSoManyQueuedJobs(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, _ := open(t, url, wait.Config{MaxConcurrent: 1})
		accept := func(h job.Header) wait.Acceptance {
			a, err := w.Accept(t.Context(), h, "print", wait.Shares{MostQueued: 2})
			require.NoError(t, err)
			return a
		}
		var last job.Header
		for range 3 { // one is submitted, two are queued
			last = header("acme")
			require.False(t, accept(last).Full)
			_, err := w.Enter(t.Context(), last)
			require.NoError(t, err)
		}
		more := header("acme")
		require.Equal(t, wait.Acceptance{Full: true}, accept(more))
		_, err := w.Get(t.Context(), more.JobID)
		require.ErrorIs(t, err, wait.ErrUnknown, "nothing is written")
		require.True(t, accept(last).Replayed, "what was accepted before is known")
		for _, other := range []string{"globex", "acm", "acme2", "acme.x"} {
			require.False(t, accept(header(other)).Full, other)
		}
		_, err = w.Cancel(t.Context(), last.JobID)
		require.NoError(t, err)
		require.False(t, accept(more).Full, "there is room again")
		a, err := w.Accept(t.Context(), header("acme"), "print")
		require.NoError(t, err)
		require.False(t, a.Full, "no bound")
	})
}
