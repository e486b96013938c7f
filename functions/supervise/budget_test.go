package supervise_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// scripts counts what a process asks of Redis, by the shape of the request: a
// script each.
type scripts struct {
	redis.Hook
	mu    sync.Mutex
	n     int
	names map[string]int
}

func (s *scripts) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *scripts) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.HasPrefix(cmd.Name(), "evalsha") {
			s.mu.Lock()
			s.n++
			if s.names == nil {
				s.names = map[string]int{}
			}
			s.names[fmt.Sprint(cmd.Args()[1])[:6]]++
			s.mu.Unlock()
		}
		return next(ctx, cmd)
	}
}

func (s *scripts) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *scripts) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (w *world) countScripts() *scripts {
	s := &scripts{}
	w.proc.redis.AddHook(s)
	return s
}

// loops lets the supervisor's two loops run for a simulated time: each comes when
// it said that it would, and when it is woken by its own calls.
func (w *world) loops(d time.Duration) {
	w.t.Helper()
	ctx := w.t.Context()
	end := w.clock.Now().Add(d)
	for w.clock.Now().Before(end) {
		_, err := supervise.HandleDue(w.proc.supervise, ctx)
		require.NoError(w.t, err)
		again, err := supervise.AdmitOnce(w.proc.supervise, ctx)
		require.NoError(w.t, err)
		w.deliver()
		_ = w.proc.waits.Flush(ctx)
		w.clock.Advance(max(min(again, time.Second), time.Millisecond))
	}
}

// use takes all calls of the budget that are left, as others do.
func (w *world) use() {
	w.t.Helper()
	for {
		pause, err := w.observer.Allow(w.t.Context())
		require.NoError(w.t, err)
		if pause > 0 {
			return
		}
	}
}

// TestABudgetUsedUpCostsNothing: 500 jobs wait for slots or for calls. Events are
// sent for admissions that are taken, and for nothing else.
func TestABudgetUsedUpCostsNothing(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, 5} {
		t.Run(fmt.Sprintf("slots %d", limit), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *options) {
				o.wait.MaxConcurrent, o.wait.RequestsPerMinute = limit, 100
				o.sim.Delay, o.sim.LoseCallbacks = 3*time.Hour, 1
			})
			w.clock.Advance(time.Minute)
			w.use()
			for range 500 {
				w.request("a")
			}
			w.deliver()
			s := w.countScripts()
			before := w.sim.Stats().Submissions
			const minutes = 3
			w.loops(minutes * time.Minute)
			submitted := w.sim.Stats().Submissions - before
			require.Equal(t, w.bus.count(event.SweepAdmitted), int(submitted), "an event for each turn that was taken up")
			if limit == 5 {
				require.EqualValues(t, 5, submitted)
			} else {
				require.InDelta(t, minutes*75, submitted, minutes*20, "the budget is used")
			}
			// Twice a second to look, and what a submission takes.
			require.Less(t, s.count(), minutes*60*3+int(submitted)*8, "%v", s.names)
			require.LessOrEqual(t, w.sim.Stats().Requests, int64(minutes*100+100))
		})
	}
}

// TestOverduePollsWaitForTheirCalls: 1000 sweeps are to be polled and the API takes
// 100 calls a minute.
func TestOverduePollsWaitForTheirCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) {
		o.wait.MaxConcurrent, o.wait.RequestsPerMinute = 0, 100
		o.sim.MaxConcurrent = 0
	})
	for range 1000 {
		h := w.header("a")
		_, err := w.proc.waits.Accept(t.Context(), h, "")
		require.NoError(t, err)
		_, err = w.proc.waits.Enter(t.Context(), h)
		require.NoError(t, err)
		_, _, err = w.proc.waits.Note(t.Context(), h.JobID, "none-"+h.JobID, 0, time.Second)
		require.NoError(t, err)
	}
	w.clock.Advance(time.Minute)
	s := w.countScripts()
	w.loops(time.Minute)
	polls := int(w.sim.Stats().Requests)
	require.InDelta(t, 90, polls, 12)
	require.Less(t, s.count(), 60*3+polls*5, "%v", s.names)
}

// TestUncertainAttemptsWaitForTheirCalls: what may be at the API is looked for, and
// without calls for that nothing happens.
func TestUncertainAttemptsWaitForTheirCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) {
		o.wait.MaxConcurrent, o.wait.RequestsPerMinute = 0, 100
		o.sim.Delay, o.sim.LoseCallbacks = 3*time.Hour, 1
	})
	for range 50 {
		h := w.header("a")
		e, err := event.NewRequested(event.Requested{Header: h}) // no record: its Redis lost it
		require.NoError(t, err)
		w.bus.resolve(e)
	}
	w.deliver()
	require.Zero(t, w.sim.Stats().Requests)
	for range 15 {
		w.use()
		w.loops(time.Second)
	}
	require.LessOrEqual(t, w.bus.count(event.SweepAdmitted), 15, "one for each that got its calls")
	w.loops(5 * time.Minute)
	require.EqualValues(t, 50, w.sim.Stats().Submissions)
	require.Equal(t, 50, w.bus.count(event.SweepAdmitted))
}

// TestAdmissionEventIsStableUntilStarted: while submit is away nothing piles up
// for it.
func TestAdmissionEventIsStableUntilStarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.wait.MaxConcurrent, o.wait.AdmissionTimeout = 0, time.Second })
	w.sim.SetDown(true)
	for range 200 {
		w.request("a")
	}
	w.deliver() // the API is down, so they are queued
	w.sim.SetDown(false)
	sent := 0
	away := func() { // the broker keeps what submit does not take
		w.bus.mu.Lock()
		defer w.bus.mu.Unlock()
		sent = len(w.bus.queue)
	}
	for range 120 {
		w.clock.Advance(time.Second)
		_, err := supervise.HandleDue(w.proc.supervise, t.Context())
		require.NoError(t, err)
		_, err = supervise.AdmitOnce(w.proc.supervise, t.Context())
		require.NoError(t, err)
		away()
	}
	require.Equal(t, 1, sent, "one turn, to try the API out")
	w.pass(10*time.Minute, time.Second)
	require.EqualValues(t, 200, w.sim.Stats().Submissions)
	require.LessOrEqual(t, w.bus.count(event.SweepAdmitted), 201)
}

// TestAdmissionThatTheBrokerHasLost: the broker has lost the event and remembers its id.
// The job has the only slot, so that no other is admitted before it.
func TestAdmissionThatTheBrokerHasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.wait.MaxConcurrent, o.sim.Delay = 1, 10*time.Second }) // so that two of three are queued
	lost := 0
	w.bus.loses = func(e cloudevents.Event) bool {
		if e.Type() != event.SweepAdmitted || lost > 0 {
			return false
		}
		lost++
		return true
	}
	jobs := []string{w.request("a"), w.request("a"), w.request("a")}
	w.pass(20*time.Minute, 5*time.Second, jobs...)
	require.Equal(t, 1, lost)
	for _, id := range jobs {
		require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
	}
	require.EqualValues(t, 3, w.sim.Stats().Submissions)
}

// TestAskedAtTheDeadline: a sweep has ended, its callback is lost, and when its
// time is over there is not one call left.
func TestAskedAtTheDeadline(t *testing.T) {
	t.Parallel()
	for _, rpm := range []int{100, 4} { // with a reserve, and without
		t.Run(fmt.Sprint(rpm), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *options) {
				o.sim.LoseCallbacks = 1
				o.wait.RequestsPerMinute = rpm
				o.wait.CallbackTimeout = 29 * time.Second // before the first poll
			})
			w.clock.Advance(2 * time.Minute)
			w.use()
			w.clock.Advance(2 * time.Minute)
			id := w.request("default")
			w.turn()
			w.idle()
			for range 29 {
				w.use()
				w.clock.Advance(time.Second)
			}
			w.use()
			w.turn()
			if rpm == 100 {
				require.Equal(t, wait.Completed, w.record(id).State, "from the reserve")
				return
			}
			require.Equal(t, wait.Waiting, w.record(id).State, "not timed out unasked")
			w.pass(2*time.Minute, time.Second, id)
			require.Equal(t, wait.Completed, w.record(id).State)
		})
	}
}

// TestManyDeadlinesLeaveTheOthersTheirShare: deadlines may use the reserve, and no
// more than half of what comes after.
func TestManyDeadlinesLeaveTheOthersTheirShare(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) {
		o.wait.MaxConcurrent, o.wait.RequestsPerMinute = 0, 100
		o.sim.MaxConcurrent, o.sim.Delay, o.sim.LoseCallbacks = 0, 3*time.Hour, 1
		o.wait.CallbackTimeout = time.Minute
	})
	for range 300 {
		h := w.header("a")
		_, err := w.proc.waits.Accept(t.Context(), h, "")
		require.NoError(t, err)
		_, err = w.proc.waits.Enter(t.Context(), h)
		require.NoError(t, err)
		_, _, err = w.proc.waits.Note(t.Context(), h.JobID, "none-"+h.JobID, 0, time.Hour)
		require.NoError(t, err)
	}
	w.clock.Advance(time.Minute)
	for range 100 {
		w.request("b")
	}
	w.deliver()
	w.loops(30 * time.Second)
	require.InDelta(t, 24, w.sim.Stats().Submissions, 9, "turns")
	require.Greater(t, w.bus.count(event.SweepFailed), 12, "deadlines")
}

// TestNoClockButThatOfRedis: not one command carries the time of a process.
func TestNoClockButThatOfRedis(t *testing.T) {
	t.Parallel()
	u := servertest.Redis(t)
	o, err := redis.ParseURL(u)
	require.NoError(t, err)
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	watch := &times{t: t}
	client.AddHook(watch)
	waits, err := wait.New(client, wait.Config{KeyPrefix: "clock" + job.NewID() + ":", MaxConcurrent: 1, RequestsPerMinute: 6000})
	require.NoError(t, err)
	f, err := supervise.New(supervise.Config{}, waits, still{}, make(channel, 100), prometheus.NewRegistry())
	require.NoError(t, err)
	ctx := t.Context()
	h := job.Header{JobID: job.NewID(), TenantID: "a", JobType: job.Type, CreatedAt: start} // long ago, whoever's clock that was
	_, err = waits.Accept(ctx, h, "")
	require.NoError(t, err)
	enter := func() wait.Entry {
		var e wait.Entry
		require.Eventually(t, func() bool {
			require.NoError(t, supervise.AdmitNext(f, ctx))
			e, err = waits.Enter(ctx, h)
			require.NoError(t, err)
			return e.Decision != wait.Queued
		}, time.Minute, 20*time.Millisecond)
		return e
	}
	e := enter()
	require.Equal(t, wait.SubmitNow, e.Decision)
	require.NoError(t, waits.Requeue(ctx, e.Record, wait.RequeueReason{Submission: wait.Answered()}))
	require.Equal(t, wait.SubmitNow, enter().Decision)
	_, r, err := waits.Note(ctx, h.JobID, "t-1", time.Millisecond, time.Millisecond)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), r.StartedAt, time.Minute)
	require.NoError(t, supervise.AdmitNext(f, ctx))
	_, err = supervise.HandleDue(f, ctx)
	require.NoError(t, err)
	_, err = waits.Cancel(ctx, h.JobID)
	require.NoError(t, err)
	require.NoError(t, supervise.AdmitNext(f, ctx))
	_, err = waits.Count(ctx)
	require.NoError(t, err)
	require.NoError(t, waits.Close())
	require.Greater(t, watch.seen, 10)
}

// times fails its test at a command that holds a time of this decade.
type times struct {
	t    *testing.T
	seen int
}

func (c *times) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *times) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.seen++
		for _, arg := range cmd.Args()[1:] {
			text := fmt.Sprint(arg)
			if len(text) >= 10 && len(text) <= 16 && strings.Trim(text, "0123456789") == "" {
				c.t.Errorf("%s carries the time %s", cmd.Name(), text)
			}
		}
		return next(ctx, cmd)
	}
}

func (c *times) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// still is a trading API whose sweeps never end.
type still struct{}

func (still) Job(_ context.Context, id string) (trading.Job, error) {
	return trading.Job{ID: id, Status: trading.Running}, nil
}
func (still) Find(context.Context, string, time.Time) ([]trading.Job, error) { return nil, nil }
func (still) Cancel(context.Context, string) error                           { return nil }

// hanging is one that answers no poll until it is let go.
type hanging struct {
	still
	asked chan struct{}
	leave chan struct{}
}

func (a hanging) Job(context.Context, string) (trading.Job, error) {
	a.asked <- struct{}{}
	<-a.leave
	return trading.Job{}, &trading.Error{Op: "job", Status: http.StatusServiceUnavailable}
}

// TestEndsDoNotWaitForPolls: the API hangs, and a job that its owner cancels is
// announced all the same.
func TestEndsDoNotWaitForPolls(t *testing.T) {
	t.Parallel()
	waits, err := wait.Open(t.Context(), wait.Config{RedisURL: servertest.Redis(t), KeyPrefix: "hang" + job.NewID() + ":"})
	require.NoError(t, err)
	header := func() job.Header {
		return job.Header{JobID: job.NewID(), TenantID: "a", JobType: job.Type, CreatedAt: start}
	}
	for range 64 {
		h := header()
		_, err := waits.Enter(t.Context(), h)
		require.NoError(t, err)
		_, _, err = waits.Note(t.Context(), h.JobID, "t-"+h.JobID, 0, time.Millisecond)
		require.NoError(t, err)
	}
	api := hanging{asked: make(chan struct{}, 64), leave: make(chan struct{})}
	sink := make(channel, 100)
	f, err := supervise.New(supervise.Config{Parallel: 4, Tick: time.Hour}, waits, api, sink, prometheus.NewRegistry())
	require.NoError(t, err)
	require.NoError(t, f.Start(t.Context(), nil))
	t.Cleanup(func() {
		close(api.leave)
		require.NoError(t, f.Stop(context.Background()))
		require.NoError(t, waits.Close())
	})
	for range 4 { // all that may be under way at once
		<-api.asked
	}
	h := header()
	_, err = waits.Accept(t.Context(), h, "")
	require.NoError(t, err)
	_, err = waits.Cancel(t.Context(), h.JobID)
	require.NoError(t, err)
	select {
	case e := <-sink:
		require.Equal(t, h.JobID, e.Subject())
		require.Equal(t, event.SweepFailed, e.Type())
	case <-time.After(20 * time.Second):
		require.FailNow(t, "its end waits for polls")
	}
	require.Empty(t, api.asked, "and no more than four polls at once")
}
