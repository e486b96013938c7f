package submit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/submit"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// The stories of a job, with a real API behind it, are told in supervise.

// api hangs in Submit until it is let go or its caller gives up.
type api struct {
	entered chan struct{}
	leave   chan struct{}

	mu     sync.Mutex
	header map[string]string
	url    string
	found  []trading.Job
	since  time.Time
}

func (a *api) Health(context.Context) error { return nil }

func (a *api) Find(_ context.Context, _ string, since time.Time) ([]trading.Job, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = since
	return a.found, nil
}

func (a *api) Submit(ctx context.Context, _ job.Sweep, callbackURL string, headers map[string]string) (trading.Submission, error) {
	a.mu.Lock()
	a.url, a.header = callbackURL, headers
	a.mu.Unlock()
	a.entered <- struct{}{}
	select {
	case <-a.leave:
		return trading.Submission{JobID: "t-1", EstimatedDuration: time.Minute}, nil
	case <-ctx.Done():
		return trading.Submission{}, ctx.Err()
	}
}

func setup(t *testing.T, cfg wait.Config) (*submit.Function, *wait.Waits, *api) {
	t.Helper()
	if cfg.RedisURL == "" {
		cfg.RedisURL = servertest.Miniredis(t)
	}
	waits, err := wait.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = waits.Close() })
	a := &api{entered: make(chan struct{}, 10), leave: make(chan struct{})}
	f, err := submit.New(submit.Config{BaseURL: "https://hooks.test/base", Secret: "secret of the tests"}, waits, a)
	require.NoError(t, err)
	return f, waits, a
}

func requested(t *testing.T, change func(*job.Header)) cloudevents.Event {
	t.Helper()
	h := job.Header{
		JobID: job.NewID(), TenantID: "a", JobType: job.Type, CreatedAt: time.Now(),
		Parameters: job.Sweep{Ticker: "DAX", FastRange: [2]int{10, 20}, SlowRange: [2]int{30, 60}, Step: 10, MinTrades: 10, StrategyType: job.SMA},
	}
	change(&h)
	e, err := event.NewRequested(event.Requested{Header: h})
	require.NoError(t, err)
	return e
}

func TestEventsThatNoRetryMends(t *testing.T) {
	t.Parallel()
	f, _, _ := setup(t, wait.Config{})
	other := requested(t, func(*job.Header) {})
	other.SetType(event.SweepCompleted)
	unreadable := requested(t, func(*job.Header) {})
	require.NoError(t, unreadable.SetData("application/json", []byte(`{"job_id":7}`)))
	ownerless := requested(t, func(*job.Header) {})
	require.NoError(t, ownerless.SetData("application/json", bytes.Replace(ownerless.Data(), []byte(`"tenant_id":"a"`), []byte(`"tenant_id":""`), 1)))
	for name, e := range map[string]cloudevents.Event{
		"other type": other,
		"unreadable": unreadable,
		"bad id":     requested(t, func(h *job.Header) { h.JobID = "x" }),
		"no tenant":  ownerless,
		"bad sweep":  requested(t, func(h *job.Header) { h.Parameters.Step = 99 }),
	} {
		_, err := f.Handle(t.Context(), e)
		var result *cehttp.Result
		require.ErrorAs(t, err, &result, name)
		require.Equal(t, 422, result.StatusCode, name)
	}
}

func TestASlowSubmissionStaysInCharge(t *testing.T) {
	t.Parallel()
	f, waits, a := setup(t, wait.Config{SubmitLease: 200 * time.Millisecond})
	e := requested(t, func(*job.Header) {})
	type outcome struct {
		reply *cloudevents.Event
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		reply, err := f.Handle(t.Context(), e)
		done <- outcome{reply, err}
	}()
	<-a.entered
	r, err := waits.Get(t.Context(), e.Subject())
	require.NoError(t, err)
	first := r.LeaseUntil
	require.Eventually(t, func() bool {
		r, err = waits.Get(t.Context(), e.Subject())
		return err == nil && r.LeaseUntil.After(first.Add(200*time.Millisecond))
	}, time.Minute, 10*time.Millisecond, "the lease is prolonged")
	reply, err := f.Handle(t.Context(), e) // the same event again, meanwhile
	require.NoError(t, err)
	require.Nil(t, reply)
	close(a.leave)
	out := <-done
	require.NoError(t, out.err)
	d, err := event.Data[event.Submitted](*out.reply)
	require.NoError(t, err)
	require.Equal(t, "t-1", d.TradingJobID)
	require.InDelta(t, 60, d.EstimatedSeconds, 0)
	require.Equal(t, 1, d.Turn)

	again, err := f.Handle(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, out.reply.ID(), again.ID(), "the answer may have been lost")
	require.JSONEq(t, string(out.reply.Data()), string(again.Data()))
	token := trading.Token("secret of the tests", e.Subject())
	require.Equal(t, "https://hooks.test/base/webhook/sweep-callback?job="+e.Subject()+"&token="+token, a.url)
	require.Equal(t, trading.CallbackHeaders(token), a.header)
}

// TestCutOff: the caller hangs up in the middle of the call. What the API did
// with it is unknown, and the wait says so.
func TestCutOff(t *testing.T) {
	t.Parallel()
	f, waits, a := setup(t, wait.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	e := requested(t, func(*job.Header) {})
	done := make(chan error, 1)
	go func() {
		_, err := f.Handle(ctx, e)
		done <- err
	}()
	<-a.entered
	cancel()
	require.NoError(t, <-done)
	r, err := waits.Get(t.Context(), e.Subject())
	require.NoError(t, err)
	require.Equal(t, wait.Parked, r.State)
	require.True(t, r.Uncertain)
}

// unnamed is an API that takes each sweep, names none and knows none.
type unnamed struct{ submitted int }

func (*unnamed) Health(context.Context) error { return nil }

func (*unnamed) Find(context.Context, string, time.Time) ([]trading.Job, error) { return nil, nil }

func (a *unnamed) Submit(context.Context, job.Sweep, string, map[string]string) (trading.Submission, error) {
	a.submitted++
	return trading.Submission{}, fmt.Errorf("submit: %w", trading.ErrUnnamed)
}

// TestASweepThatIsNeverNamed: an API that takes sweeps and gives them no id is not given
// another one for ever. The job fails, and says why.
func TestASweepThatIsNeverNamed(t *testing.T) {
	t.Parallel()
	waits, err := wait.Open(t.Context(), wait.Config{RedisURL: servertest.Miniredis(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = waits.Close() })
	a := &unnamed{}
	f, err := submit.New(submit.Config{BaseURL: "https://hooks.test/base", Secret: "secret of the tests", BackoffMax: time.Millisecond}, waits, a)
	require.NoError(t, err)
	e := requested(t, func(*job.Header) {})
	var ended *cloudevents.Event
	require.Eventually(t, func() bool {
		_, err := waits.AdmitNext(t.Context(), 1, 1, time.Minute)
		require.NoError(t, err)
		ended, err = f.Handle(t.Context(), e)
		require.NoError(t, err)
		return ended != nil
	}, time.Minute, 2*time.Millisecond)
	require.Equal(t, event.SweepFailed, ended.Type())
	require.Equal(t, 11, a.submitted)
	failed, err := event.Data[event.Failed](*ended)
	require.NoError(t, err)
	require.Equal(t, job.Rejected, failed.ErrorCode)
	require.Contains(t, failed.ErrorMessage, "no valid job_id")
}

// TestTwoSweepsForOneJob: against all leases two attempts got through.
func TestTwoSweepsForOneJob(t *testing.T) {
	t.Parallel()
	f, waits, a := setup(t, wait.Config{})
	e := requested(t, func(*job.Header) {})
	done := make(chan error, 1)
	go func() {
		reply, err := f.Handle(t.Context(), e)
		if reply != nil {
			err = errors.New("a reply for the second sweep")
		}
		done <- err
	}()
	<-a.entered
	_, _, err := waits.Note(t.Context(), e.Subject(), "t-0", 0, time.Minute)
	require.NoError(t, err)
	close(a.leave)
	require.NoError(t, <-done)
	r, err := waits.Get(t.Context(), e.Subject())
	require.NoError(t, err)
	require.Equal(t, "t-0", r.TradingJobID)
	require.Equal(t, []string{"t-1"}, r.Dropped)
	d, err := waits.AdmitNext(t.Context(), 1, 1, time.Minute)
	require.NoError(t, err)
	require.Len(t, d.Calls, 1)
	require.Equal(t, "t-1", d.Calls[0].Duplicate, "for the supervisor to cancel")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, waits, a := setup(t, wait.Config{})
	for name, cfg := range map[string]submit.Config{
		"CALLBACK_SECRET":  {BaseURL: "http://x"},
		"WEBHOOK_BASE_URL": {Secret: "secret of the tests"},
		"POLL_PROGRESS":    {Secret: "secret of the tests", BaseURL: "http://x", Progress: trading.Progress{ProgressEvery: time.Millisecond}},
	} {
		_, err := submit.New(cfg, waits, a)
		require.ErrorContains(t, err, name)
	}
	_, err := submit.New(submit.Config{Secret: "secret of the tests", BaseURL: "http://x"}, nil, a)
	require.Error(t, err)
}

// While Redis is away an event is not refused: with 503 a broker that tells the two apart
// counts no attempt, however long it takes.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	f, waits, _ := setup(t, wait.Config{})
	require.NoError(t, waits.Close())
	_, err := f.Handle(t.Context(), requested(t, func(*job.Header) {}))
	var away *sink.Unavailable
	require.ErrorAs(t, err, &away)
	require.Equal(t, sink.DefaultRetryAfter, away.RetryAfter)
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// standstill keeps what is asked of Redis while it is on from ever being answered.
type standstill struct{ on atomic.Bool }

func (*standstill) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*standstill) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *standstill) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if s.on.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		return next(ctx, cmd)
	}
}

// TestStoodStill: the process stands still in the middle of an attempt, for longer than
// its lease, and another attempt goes on. The first must not submit as well when it wakes.
func TestStoodStill(t *testing.T) {
	t.Parallel()
	url := servertest.Miniredis(t)
	opts, err := redis.ParseURL(url)
	require.NoError(t, err)
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	frozen := &standstill{}
	client.AddHook(frozen)
	cfg := wait.Config{SubmitLease: 200 * time.Millisecond}
	waits, err := wait.New(client, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = waits.Close() })
	others, err := wait.Open(t.Context(), wait.Config{RedisURL: url, SubmitLease: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { _ = others.Close() })

	looked, woken := make(chan struct{}), make(chan struct{})
	var submissions atomic.Int64
	api, err := trading.New(trading.Config{URL: "http://api.test"}, trading.WithTransport(transport(func(r *http.Request) (*http.Response, error) {
		body := `{"status":"healthy"}`
		switch {
		case r.Method == http.MethodPost:
			submissions.Add(1)
			body = `{"job_id":"t-1"}`
		case strings.HasPrefix(r.URL.Path, "/api/v1/jobs"):
			close(looked)
			<-woken
			body = `[]`
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})))
	require.NoError(t, err)
	f, err := submit.New(submit.Config{BaseURL: "https://hooks.test", Secret: "secret of the tests"}, waits, api)
	require.NoError(t, err)

	e := requested(t, func(*job.Header) {}) // without a record: its sweep is looked for
	done := make(chan error, 1)
	go func() {
		reply, err := f.Handle(t.Context(), e)
		if reply != nil {
			err = errors.New("a reply of who is not in charge")
		}
		done <- err
	}()
	<-looked
	frozen.on.Store(true)
	d, err := event.Data[event.Requested](e)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		entry, err := others.Enter(t.Context(), d.Header)
		return err == nil && entry.Decision == wait.FindFirst
	}, time.Minute, 10*time.Millisecond, "the lease ends, and another attempt takes over")
	frozen.on.Store(false)
	close(woken)
	require.NoError(t, <-done)
	require.Zero(t, submissions.Load())
}

// A client repeats its key after Redis came back empty: the sweep that the API has is
// found, however old, and not submitted again.
func TestAKeyRepeatedAfterRedisWasEmptied(t *testing.T) {
	t.Parallel()
	url := servertest.Miniredis(t)
	f, waits, a := setup(t, wait.Config{RedisURL: url})
	again := requested(t, func(h *job.Header) { h.JobID = job.DeriveID("a", "key", time.Now()) })
	d, err := event.Data[event.Requested](again)
	require.NoError(t, err)
	_, err = waits.Accept(t.Context(), d.Header, "print")
	require.NoError(t, err)
	rdb, err := redisclient.New(url)
	require.NoError(t, err)
	defer func() { _ = rdb.Close() }()
	require.NoError(t, rdb.FlushAll(t.Context()).Err())
	_, err = waits.Accept(t.Context(), d.Header, "print")
	require.NoError(t, err)
	a.found = []trading.Job{{ID: "t-0", Status: trading.Completed}}
	reply, err := f.Handle(t.Context(), again)
	require.NoError(t, err)
	require.NotNil(t, reply)
	submitted, err := event.Data[event.Submitted](*reply)
	require.NoError(t, err)
	require.Equal(t, "t-0", submitted.TradingJobID)
	require.Empty(t, a.entered, "not submitted again")
	require.WithinDuration(t, time.Now().Add(-wait.LossWindow), a.since, time.Minute)
}
