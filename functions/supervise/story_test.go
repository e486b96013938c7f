package supervise_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/local/simulator"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/wait"
)

func TestCallbackEndsAJob(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on)
		id := w.request("default")
		w.turn()
		w.idle()
		require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
		require.Equal(t, 1, w.bus.count(event.SweepSubmitted))
		r := w.record(id)
		require.Equal(t, wait.Completed, r.State)
		require.Equal(t, event.ViaCallback, r.Via)
		require.Empty(t, r.Actions)
		require.NotEmpty(t, r.SweepRunID)
		c, err := w.observer.Count(t.Context())
		require.NoError(t, err)
		require.Zero(t, c)
	})
}

func TestLostCallbacksAreMadeUpForByPolling(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on, func(o *options) { o.sim.LoseCallbacks = 1 })
		var ids []string
		for range 20 {
			ids = append(ids, w.request("default"))
		}
		w.pass(20*time.Minute, time.Second, ids...)
		for _, id := range ids {
			require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
			require.Equal(t, event.ViaPoll, w.record(id).Via)
		}
		s := w.sim.Stats()
		require.EqualValues(t, 20, s.Submissions)
		require.LessOrEqual(t, s.MaxSeen, 5)
		require.Zero(t, s.FastPolls)
	})
}

func TestTimeOutCancelsTheSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.sim.Delay = 3 * time.Hour })
	id := w.request("default")
	w.pass(2*time.Hour, 30*time.Second, id)
	require.Equal(t, event.SweepFailed, w.onlyEnd(id).Type())
	r := w.record(id)
	require.Equal(t, job.TimedOut, r.ErrorCode)
	require.Empty(t, r.Actions)
	require.Equal(t, start.Add(time.Hour), r.EndedAt)
	require.EqualValues(t, 1, w.sim.Stats().Cancelled)

	late := fmt.Sprintf(`{"event_type":"sweep.completed","job_id":%q,"sweep_run_id":"run-1","status":"completed"}`, r.TradingJobID)
	require.Equal(t, http.StatusOK, w.post(id, late))
	require.Equal(t, http.StatusOK, w.post(id, late))
	require.Len(t, w.bus.lates, 1, "one line in the timeline")
	require.Equal(t, job.TimedOut, w.record(id).ErrorCode, "and nothing changed")
}

// TestTwoHoursAndARestartEveryMinute: no function lives as long as the sweep.
func TestTwoHoursAndARestartEveryMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) {
		o.sim.Delay, o.sim.LoseCallbacks = 2*time.Hour, 1
		o.wait.CallbackTimeout, o.supervise.ProgressEvery = 3*time.Hour, time.Minute
	})
	id := w.request("default")
	w.turn()
	require.NoError(t, w.sim.Running(t.Context(), 1))
	last, seen := 0, 0
	for range 150 {
		w.pass(time.Minute, 20*time.Second, id)
		w.restart(nil)
		if p := w.record(id).Progress; p != last {
			require.Greater(t, p, last)
			last = p
			seen++
		}
		if w.clock.Now().Sub(start) >= 2*time.Hour {
			w.idle()
		}
	}
	require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
	require.Equal(t, 100, last)
	require.Greater(t, seen, 50, "progress was seen")
	require.EqualValues(t, 1, w.sim.Stats().Submissions)
	require.Zero(t, w.sim.Stats().FastPolls)
}

func TestParkedJobsAreAdmittedInFairOrder(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on, func(o *options) { o.wait.MaxConcurrent = 1; o.sim.Delay = time.Second })
		names := map[string]string{}
		var ids []string
		add := func(tenant string, n int) {
			for range n {
				id := w.request(tenant)
				w.clock.Advance(time.Millisecond)
				names[id] = tenant + fmt.Sprint(len(ids))
				ids = append(ids, id)
			}
			w.deliver()
		}
		add("a", 6)
		add("b", 2)
		add("c", 1)
		require.Equal(t, 8, w.parked())
		require.Equal(t, 0, w.record(ids[0]).Place)
		places := map[int]bool{}
		for _, id := range ids[1:] {
			places[w.record(id).Place] = true
		}
		require.Len(t, places, 8, "everybody knows their place")
		require.Equal(t, 3, w.record(ids[8]).Place, "c's only one is third: after one of a's and one of b's")
		for range 200 {
			w.turn()
			if w.sim.Stats().InFlight > 0 {
				require.NoError(t, w.sim.Running(t.Context(), 1))
			}
			w.clock.Advance(time.Second)
			w.idle()
			if w.allEnded(ids) {
				break
			}
		}
		var order []string
		for _, e := range w.bus.all {
			if e.Type() == event.SweepSubmitted {
				order = append(order, names[e.Subject()])
			}
		}
		require.Equal(t, []string{"a0", "a1", "b6", "c8", "a2", "b7", "a3", "a4", "a5"}, order)
		require.Equal(t, 1, w.sim.Stats().MaxSeen)
	})
}

func (w *world) parked() int {
	w.t.Helper()
	c, err := w.observer.Count(w.t.Context())
	require.NoError(w.t, err)
	return int(c.Parked)
}

func TestAPIDownForTenMinutes(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on)
		w.sim.SetDown(true)
		var ids []string
		for range 12 {
			ids = append(ids, w.request("default"))
		}
		w.pass(10*time.Minute, time.Second)
		require.Empty(t, w.bus.queue, "nothing is left to be delivered again")
		for _, id := range ids {
			require.Empty(t, w.bus.ended(id))
			require.Equal(t, job.Queued, w.record(id).JobState())
		}
		require.Less(t, w.proc.faults.calls, 20_000, "nobody runs against the wall")
		w.sim.SetDown(false)
		w.pass(5*time.Minute, time.Second, ids...)
		w.idle()
		for _, id := range ids {
			require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
		}
		require.EqualValues(t, 12, w.sim.Stats().Submissions)
	})
}

func TestAPIAnswersWhileSubmitting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trouble   func(*simulator.Simulator)
		code      job.ErrorCode
		notBefore time.Duration
	}{
		"throttled":            {trouble: func(s *simulator.Simulator) { s.RefuseNext(1, http.StatusTooManyRequests, 40*time.Second) }, notBefore: 40 * time.Second},
		"unavailable":          {trouble: func(s *simulator.Simulator) { s.RefuseNext(2, http.StatusServiceUnavailable, 0) }, notBefore: time.Second},
		"broken":               {trouble: func(s *simulator.Simulator) { s.RefuseNext(1, http.StatusInternalServerError, 0) }, notBefore: time.Second},
		"broken, list as well": {trouble: func(s *simulator.Simulator) { s.RefuseNext(3, http.StatusInternalServerError, 0) }, notBefore: time.Second},
		"answer lost":          {trouble: func(s *simulator.Simulator) { s.CutNextAnswers(1) }},
		"refused":              {trouble: func(s *simulator.Simulator) { s.RefuseNext(1, http.StatusUnprocessableEntity, 0) }, code: job.Rejected},
		"key refused":          {trouble: func(s *simulator.Simulator) { s.RefuseNext(1, http.StatusUnauthorized, 0) }, code: job.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *options) { o.sim.LoseCallbacks = 1 })
			c.trouble(w.sim)
			id := w.request("default")
			w.turn()
			require.Empty(t, w.bus.queue, "acknowledged")
			for range 300 {
				w.turn()
				w.idle()
				if w.allEnded([]string{id}) && w.settled([]string{id}) {
					break
				}
				w.clock.Advance(time.Second)
			}
			end := w.onlyEnd(id)
			require.GreaterOrEqual(t, w.clock.Now().Sub(start), c.notBefore)
			r := w.record(id)
			require.Equal(t, c.code, r.ErrorCode)
			if c.code != "" {
				require.Equal(t, event.SweepFailed, end.Type())
				require.NotEmpty(t, r.ErrorMessage)
				require.Zero(t, w.sim.Stats().Submissions)
				return
			}
			require.Equal(t, event.SweepCompleted, end.Type())
			require.EqualValues(t, 1, w.sim.Stats().Submissions)
		})
	}
}

func TestAPIForgetsItsSweeps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.sim.Delay = time.Hour; o.wait.CallbackTimeout = 24 * time.Hour })
	id := w.request("default")
	w.turn()
	for n := 1; n <= 4; n++ {
		require.Equal(t, n, w.record(id).Submissions)
		require.Equal(t, 1, w.sim.Stats().InFlight)
		w.forgetful(simulator.Config{Delay: time.Hour, Workers: 1})
		for range 120 {
			w.pass(time.Minute, time.Minute, id)
			if r := w.record(id); r.Submissions > n || r.State.Ended() {
				break
			}
		}
	}
	require.Equal(t, event.SweepFailed, w.onlyEnd(id).Type())
	r := w.record(id)
	require.Equal(t, job.SweepFailed, r.ErrorCode)
	require.Contains(t, r.ErrorMessage, "4 times")
	require.Equal(t, 4, w.bus.count(event.SweepSubmitted), "each its own event")
}

// forgetful puts a trading API in the old one's place that knows nothing.
func (w *world) forgetful(cfg simulator.Config) {
	w.t.Helper()
	w.sim.Close()
	sim, err := simulator.New(cfg, slog.New(slog.DiscardHandler), simulator.WithClock(w.clock), simulator.WithTransport(transport(w.serveCallback)))
	require.NoError(w.t, err)
	w.t.Cleanup(sim.Close)
	w.sim = sim
}

// TestRedisLostItsRecords: the broker's events come again (from the job store), and
// the sweeps that are at the API already are found there.
func TestRedisLostItsRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.sim.LoseCallbacks, o.redis = 1, servertest.Miniredis(t) })
	id := w.request("default")
	w.turn()
	w.idle()
	require.NoError(t, w.proc.redis.FlushAll(t.Context()).Err()) // this test's own miniredis
	again := w.bus.all[0]
	w.bus.queue = append(w.bus.queue, again)
	w.pass(5*time.Minute, time.Second, id)
	require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
	require.EqualValues(t, 1, w.sim.Stats().Submissions)
}

func TestParkedTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) {
		o.wait.MaxConcurrent, o.wait.QueueTimeout, o.sim.Delay = 1, 10*time.Minute, 30*time.Minute
	})
	first, second := w.request("a"), w.request("a")
	w.pass(11*time.Minute, 10*time.Second, second)
	require.Empty(t, w.bus.ended(first))
	require.Equal(t, event.SweepFailed, w.onlyEnd(second).Type())
	require.Equal(t, job.TimedOut, w.record(second).ErrorCode)
	require.Zero(t, w.parked())
}

// TestReplicasShareTheWork: two supervisors tend the same waits and neither
// polls what the other has just polled.
func TestReplicasShareTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.sim.LoseCallbacks, o.sim.Delay, o.wait.MaxConcurrent = 1, 20*time.Minute, 0 })
	one := w.proc.supervise
	w.proc = nil // keep the first alive
	w.restart(nil)
	var ids []string
	for range 10 {
		ids = append(ids, w.request("default"))
	}
	w.turn()
	require.NoError(t, w.sim.Running(t.Context(), 5))
	for range 120 {
		w.clock.Advance(10 * time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = supervise.AdmitNext(one, t.Context())
		}()
		err := supervise.AdmitNext(w.proc.supervise, t.Context())
		<-done
		require.NoError(t, err)
	}
	require.Zero(t, w.sim.Stats().FastPolls)
	require.NotZero(t, w.sim.Stats().Requests)
	for _, id := range ids {
		require.Equal(t, wait.Waiting, w.record(id).State)
	}
}

// TestCrashesOverAndOver: a hundred jobs while everything dies every few calls.
func TestCrashesOverAndOver(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on, func(o *options) { o.wait.RequestsPerMinute = 0; o.sim.LoseCallbacks = .5 })
		var ids []string
		for i := range 100 {
			ids = append(ids, w.request(fmt.Sprintf("tenant%d", i%3)))
		}
		for n := 0; !w.allEnded(ids) && n < 3000; n++ {
			w.restart(&faults{at: 20 + n%97, after: n%2 == 0})
			w.turn()
			w.idle()
			w.turn()
			w.clock.Advance(3 * time.Second)
		}
		for _, id := range ids {
			require.Len(t, distinct(w.bus.ended(id)), 1)
			require.Equal(t, event.SweepCompleted, w.bus.ended(id)[0].Type(), "%s", w.bus.ended(id)[0])
		}
		for url, n := range w.sim.SubmissionsByURL() {
			require.Equal(t, 1, n, url)
		}
		require.LessOrEqual(t, w.sim.Stats().MaxSeen, 5)
	})
}
