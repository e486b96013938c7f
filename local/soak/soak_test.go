//go:build !race

package soak_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/simulator"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
)

// alone keeps long runs apart; short ones mostly wait and do so together.
func alone(t *testing.T) {
	if !settings.Soak {
		t.Parallel()
	}
}

// unlimited leaves the number of calls free, so that the runs are short. The
// limit has its own tests.
const unlimited = "TRADING_API_REQUESTS_PER_MINUTE=0"

// TestLimitAndFairnessUnderKillNine: submit and both supervisors die over and
// over; the API never sees more sweeps than it may, and the tenant with few
// jobs, who comes last, is not kept behind the one with many.
func TestLimitAndFairnessUnderKillNine(t *testing.T) {
	alone(t)
	const limit = 5
	w := newWorld(t, simulator.Config{Delay: either(250*time.Millisecond, time.Second), Workers: 1, Seed: 1}, unlimited)
	big, small := either(45, 400), either(15, 100)
	bigs := w.requests("big", big)
	smalls := w.requests("small", small)
	asked := time.Now()
	// Not before all are asked for: a job whose delivery dies with submit is tried
	// again two seconds later, and stands in line only then.
	stop := w.killer(either(1800*time.Millisecond, 6*time.Second), syscall.SIGKILL, "submit", "supervise", "supervise-2")
	handleTimeout := either(2*time.Minute, 30*time.Minute)
	few := w.awaitEnds("small", smalls, handleTimeout)
	many := w.awaitEnds("big", bigs, handleTimeout)
	kills := stop()
	w.requireCompleted(append(many, few...))
	require.LessOrEqual(t, w.sim.Stats().MaxSeen, limit, "sweeps at once")
	require.GreaterOrEqual(t, kills, either(3, 50))

	// Turns alternate: by the time that three quarters of the few have begun, the
	// other tenant had as many turns, and what was in flight. The last quarter is
	// left out: a job whose turn a kill took away waits for a lease to end.
	starts := startsAfter(few, asked)
	part := len(starts) * 3 / 4
	others := 0
	for _, at := range startsAfter(many, asked) {
		if at.Before(starts[part]) {
			others++
		}
	}
	require.LessOrEqual(t, others, part+2*limit, "turns of the tenant with many jobs, to %d of the other", part)
	t.Logf("%d jobs, %d kills, at most %d sweeps at once; %d turns of the one tenant to %d of the other",
		big+small, kills, w.sim.Stats().MaxSeen, others, part)
}

// startsAfter are the times at which jobs began, in order.
func startsAfter(jobs []job.Job, t time.Time) []time.Time {
	var starts []time.Time
	for _, j := range jobs {
		if j.StartedAt.After(t) { // all have one: requireCompleted
			starts = append(starts, *j.StartedAt)
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	return starts
}

// TestSweepsOutliveEveryProcess: each process, the broker too, is restarted
// more often than a sweep takes; now in order, now by kill -9.
func TestSweepsOutliveEveryProcess(t *testing.T) {
	alone(t)
	delay := either(5*time.Second, 90*time.Second)
	every := either(4*time.Second, time.Minute)
	w := newWorld(t, simulator.Config{Delay: delay, Workers: 1, Seed: 1}, unlimited)
	names := []string{"receive", "submit", "callback", "collect", "store", "notify", "supervise", "supervise-2", "broker"}
	end := time.Now().Add(either(9*time.Second, 5*time.Minute))
	stopHard := w.killer(every, syscall.SIGKILL, names...)
	var ids []string
	ids = append(ids, w.requests("big", either(6, 20))...)
	for batch := 0; time.Now().Before(end); batch++ {
		ids = append(ids, w.request("big"))
		tick := time.NewTimer(either(2*time.Second, 10*time.Second))
		<-tick.C
	}
	kills := stopHard()
	stopSoft := w.killer(every, syscall.SIGTERM, names...)
	jobs := w.awaitEnds("big", ids, either(2*time.Minute, 30*time.Minute))
	restarts := stopSoft()
	w.requireCompleted(jobs)
	require.LessOrEqual(t, w.sim.Stats().MaxSeen, 5)
	require.GreaterOrEqual(t, kills, len(names))
	longest := time.Duration(0)
	for _, j := range jobs {
		longest = max(longest, time.Duration(*j.DurationSeconds*float64(time.Second)))
	}
	t.Logf("%d jobs, %d kills and %d restarts, longest job %s", len(ids), kills, restarts, longest.Round(time.Second))
}

// TestAPIDown: jobs asked for while the API is away wait, and those at work
// end.
func TestAPIDown(t *testing.T) {
	alone(t)
	w := newWorld(t, simulator.Config{Delay: 2 * time.Second, Workers: 1, Seed: 1}, unlimited)
	ids := w.requests("big", 8)
	require.NoError(t, w.sim.Running(t.Context(), 1))
	w.sim.SetDown(true)
	before := w.sim.Stats().Submissions
	down := time.NewTimer(either(5*time.Second, 30*time.Second))
	ids = append(ids, w.requests("big", 4)...)
	<-down.C
	require.Equal(t, before, w.sim.Stats().Submissions, "submitted while the API was down")
	for _, id := range ids {
		require.Zero(t, w.types("big", id)[event.SweepFailed])
	}
	w.sim.SetDown(false)
	jobs := w.awaitEnds("big", ids, 3*time.Minute)
	w.requireCompleted(jobs)
	require.Len(t, w.sim.SubmissionsByURL(), len(ids))
}

func TestAllCallbacksLost(t *testing.T) {
	alone(t)
	w := newWorld(t, simulator.Config{Delay: time.Second, Workers: 1, Seed: 1, LoseCallbacks: 1}, unlimited)
	ids := w.requests("big", either(12, 100))
	jobs := w.awaitEnds("big", ids, either(2*time.Minute, 10*time.Minute))
	w.requireCompleted(jobs)
	s := w.sim.Stats()
	require.Zero(t, s.CallbacksSent)
	require.EqualValues(t, len(ids), s.CallbacksLost)
}

// TestCallbacksTwiceLateAndInDisorder: each sweep's two callbacks come at
// different times, some before the submission is answered.
func TestCallbacksTwiceLateAndInDisorder(t *testing.T) {
	alone(t)
	w := newWorld(t, simulator.Config{
		Delay: 500 * time.Millisecond, Workers: 1, Seed: 1, DuplicateCallbacks: 1, LateCallbacks: 3 * time.Second, EarlyCallbacks: 0.3,
	}, unlimited)
	ids := w.requests("big", either(15, 100))
	jobs := w.awaitEnds("big", ids, either(2*time.Minute, 10*time.Minute))
	require.NoError(t, w.sim.Idle(t.Context()), "callbacks still under way")
	w.requireCompleted(jobs)
	require.Greater(t, w.sim.Stats().CallbacksSent, int64(len(ids)))
	runs := map[string]bool{}
	for _, j := range jobs {
		runs[j.SweepRunID] = true
		n := w.types("big", j.JobID)
		require.Equal(t, 1, n[event.SweepCompleted], "results of job %s", j.JobID)
	}
	ends := make([]time.Time, 0, len(jobs))
	for _, j := range jobs {
		ends = append(ends, *j.CompletedAt)
	}
	require.False(t, slices.IsSortedFunc(ends, time.Time.Compare), "the callbacks changed their order")
	require.Len(t, runs, len(ids))
}
