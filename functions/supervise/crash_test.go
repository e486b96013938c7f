package supervise_test

import (
	"fmt"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/wait"
)

// TestCrashAtEveryCall lets the process die at each of its calls to Redis, the
// trading API and the broker, one run a call, once before the call takes place
// and once after it (under the race detector at some of them). Whatever the call: every job ends once, with one sweep.
func TestCrashAtEveryCall(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		change func(*options)
		act    func(w *world, ids []string)
		code   job.ErrorCode
	}{
		"callback": {change: func(*options) {}},
		"polled":   {change: func(o *options) { o.sim.LoseCallbacks = 1 }},
		"parked":   {change: func(o *options) { o.wait.MaxConcurrent = 1; o.sim.LoseCallbacks = 1 }},
		"failed":   {change: func(o *options) { o.sim.Fail = 1 }, code: job.SweepFailed},
		"timed out": {
			change: func(o *options) { o.sim.Delay = 10 * time.Hour; o.wait.CallbackTimeout = 20 * time.Second },
			code:   job.TimedOut,
		},
		"cancelled": {
			change: func(o *options) { o.sim.Delay = 10 * time.Hour },
			act: func(w *world, ids []string) {
				for _, id := range ids {
					_, _ = w.proc.waits.Cancel(w.t.Context(), id)
				}
			},
			code: job.Cancelled,
		},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after %v", name, after), func(t *testing.T) {
				t.Parallel()
				runs := 0
				for at := 1 + len(name)%stride; ; at += stride {
					if !crashAt(t, at, after, story.change, story.act, story.code) {
						break
					}
					runs++
				}
				require.Greater(t, runs*stride, 12, "crashes in a story")
			})
		}
	}
}

// crashAt reports whether there was an at-th call to crash at.
func crashAt(t *testing.T, at int, after bool, change func(*options), act func(*world, []string), code job.ErrorCode) bool {
	t.Helper()
	w := newWorld(t, change)
	ids := []string{w.request("a"), w.request("b")}
	w.restart(&faults{at: at, after: after})
	crashed := false
	for range 400 {
		w.turn()
		if act != nil {
			act(w, ids)
			w.turn()
		}
		if w.sim.Stats().InFlight > 0 && w.simEnds(code) {
			w.idle()
		}
		if w.proc.faults.crashed() {
			crashed = true
			w.restart(nil)
		}
		if w.allEnded(ids) && w.settled(ids) {
			break
		}
		w.clock.Advance(2 * time.Second)
	}
	for _, id := range ids {
		where := fmt.Sprintf("crash at call %d", at)
		ends := w.bus.ended(id)
		require.Len(t, distinct(ends), 1, where)
		want := event.SweepCompleted
		if code != "" {
			want = event.SweepFailed
		}
		require.Equal(t, want, ends[0].Type(), where)
		for _, e := range ends {
			requireStart(t, e, where)
		}
		r := w.record(id)
		require.Equal(t, code, r.ErrorCode, where)
		require.Empty(t, r.Actions, where)
	}
	for url, n := range w.sim.SubmissionsByURL() {
		require.Equal(t, 1, n, "sweeps of %s after a crash at call %d", url, at)
	}
	s := w.sim.Stats()
	require.LessOrEqual(t, s.MaxSeen, max(w.waitCfg.MaxConcurrent, 1))
	require.Zero(t, s.InFlight, "sweeps left at the API after a crash at call %d", at)
	c, err := w.observer.Count(t.Context())
	require.NoError(t, err)
	require.Equal(t, wait.Counts{}, c, "slots left after a crash at call %d", at)
	return crashed
}

// requireStart: an end that knows of a sweep knows since when, whoever died
// before writing that down.
func requireStart(t *testing.T, e cloudevents.Event, where string) {
	t.Helper()
	d, err := event.Data[struct {
		job.Header
		TradingJobID string     `json:"trading_job_id"`
		SubmittedAt  *time.Time `json:"submitted_at"`
	}](e)
	require.NoError(t, err)
	require.Equal(t, d.TradingJobID != "", d.SubmittedAt != nil, "start in %s, %s", e.ID(), where)
}

// simEnds: the story's sweeps end by themselves.
func (w *world) simEnds(code job.ErrorCode) bool { return code == "" || code == job.SweepFailed }

// settled: nothing is left to do for the jobs.
func (w *world) settled(ids []string) bool {
	for _, id := range ids {
		r, err := w.observer.Get(w.t.Context(), id)
		if err != nil || r.Actions != "" {
			return false
		}
	}
	c, err := w.observer.Count(w.t.Context())
	return err == nil && c == wait.Counts{}
}

// distinct drops repeats: the same end may come from two steps.
func distinct(ends []cloudevents.Event) map[string]bool {
	ids := map[string]bool{}
	for _, e := range ends {
		ids[e.ID()] = true
	}
	return ids
}
