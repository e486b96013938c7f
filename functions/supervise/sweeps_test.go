package supervise_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// More sweeps than one may be at the API for a job. One of them is its own.

// another is a sweep at the API for a job, beside the one that its wait knows.
func (w *world) another(jobID string) string {
	w.t.Helper()
	api, err := trading.New(trading.Config{URL: "http://api.test"}, trading.WithTransport(transport(func(r *http.Request) (*http.Response, error) {
		return (&faults{}).roundTrip(r, w.sim.Handler())
	})))
	require.NoError(w.t, err)
	u, err := trading.CallbackURL("http://hooks.test", jobID, trading.Token("secret of the tests", jobID))
	require.NoError(w.t, err)
	s, err := api.Submit(w.t.Context(), w.header("a").Parameters, u, nil)
	require.NoError(w.t, err)
	return s.JobID
}

func (w *world) counts() wait.Counts {
	w.t.Helper()
	c, err := w.observer.Count(w.t.Context())
	require.NoError(w.t, err)
	return c
}

// TestCallbackOfASweepThatTheAPIHadForgotten: the job has been submitted again
// meanwhile, and waits for the other one.
func TestCallbackOfASweepThatTheAPIHadForgotten(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on, func(o *options) { o.sim.Delay = time.Hour; o.wait.MaxConcurrent = 1 })
		id := w.request("a")
		w.turn()
		first := w.record(id)
		ok, err := w.proc.waits.Forget(t.Context(), first)
		require.NoError(t, err)
		require.True(t, ok)
		told := fmt.Sprintf(`{"job_id":%q,"status":"completed","sweep_run_id":"run-1"}`, first.TradingJobID)
		require.Equal(t, http.StatusOK, w.post(id, told), "before the next submission")
		require.Equal(t, wait.Parked, w.record(id).State)
		_, _, err = w.proc.waits.Note(t.Context(), id, "t-2", 0, time.Minute)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, w.post(id, told), "and after it")
		require.Equal(t, http.StatusOK, w.post(id, fmt.Sprintf(`{"job_id":%q,"status":"completed"}`, first.TradingJobID)))
		r := w.record(id)
		require.Equal(t, wait.Waiting, r.State)
		require.Equal(t, "t-2", r.TradingJobID)
		require.EqualValues(t, 1, w.counts().Slots)
		require.Empty(t, w.bus.ended(id))
		require.Empty(t, w.bus.lates)
		require.Equal(t, http.StatusOK, w.post(id, `{"job_id":"t-2","status":"completed","sweep_run_id":"run-2"}`))
		require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
		require.Equal(t, "run-2", w.record(id).SweepRunID)
	})
}

// TestASweepTooMany is cancelled, takes a slot until it is, and takes the job's own
// with it neither by its callback nor later.
func TestASweepTooMany(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on, func(o *options) { o.sim.Delay = time.Hour; o.wait.MaxConcurrent = 1 })
		id := w.request("a")
		w.turn()
		own := w.record(id).TradingJobID
		extra := w.another(id)
		for range 2 {
			result, _, err := w.proc.waits.Note(t.Context(), id, extra, 0, time.Minute)
			require.NoError(t, err)
			require.Equal(t, wait.DuplicateSweep, result)
		}
		require.EqualValues(t, 2, w.counts().Slots, "two are at the API")
		next := w.request("a")
		w.sim.SetDown(true)
		w.turn()
		require.EqualValues(t, 2, w.counts().Slots, "it could not be cancelled")
		w.sim.SetDown(false)
		w.pass(time.Minute, time.Second)
		require.EqualValues(t, 1, w.sim.Stats().Cancelled)
		require.EqualValues(t, 1, w.counts().Slots)
		r := w.record(id)
		require.Equal(t, wait.Waiting, r.State, "its callback told of a cancelled sweep")
		require.Equal(t, own, r.TradingJobID)
		require.Equal(t, wait.Parked, w.record(next).State)
		require.Equal(t, http.StatusOK, w.post(id, fmt.Sprintf(`{"job_id":%q,"status":"completed","sweep_run_id":"run-1"}`, own)))
		require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
	})
}

// TestASweepTooManyForAJobThatHasEnded: an early callback of the one ended the job
// while the other was submitted.
func TestASweepTooManyForAJobThatHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.sim.Delay = time.Hour; o.wait.MaxConcurrent = 1 })
	h := w.header("a")
	e, err := w.proc.waits.Enter(t.Context(), h)
	require.NoError(t, err)
	require.Equal(t, wait.FindFirst, e.Decision)
	require.Equal(t, http.StatusOK, w.post(h.JobID, `{"job_id":"t-1","status":"completed","sweep_run_id":"run-1"}`))
	require.Zero(t, w.counts().Slots)
	_, _, err = w.proc.waits.Note(t.Context(), h.JobID, w.another(h.JobID), 0, time.Minute)
	require.NoError(t, err)
	require.EqualValues(t, 1, w.counts().Slots)
	w.turn()
	require.EqualValues(t, 1, w.sim.Stats().Cancelled)
	require.Zero(t, w.counts().Slots)
	require.Equal(t, "t-1", w.record(h.JobID).TradingJobID)
	w.onlyEnd(h.JobID)
	require.Empty(t, w.bus.lates)
}

// TestAListThatIsCutOff: the answer to a submission was lost, and the API lists
// only so many jobs.
func TestAListThatIsCutOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		onePage bool
		others  int
		found   bool
	}{
		"pages":                     {others: 60, found: true},
		"one page, and it is on it": {onePage: true, others: 10, found: true},
		"one page, and it is not":   {onePage: true, others: 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *options) {
				o.sim.Delay, o.sim.MaxConcurrent = 3*time.Hour, 0
				o.sim.ListJobs, o.sim.ListOnePage = 25, c.onePage
			})
			w.sim.CutNextAnswers(1)
			id := w.request("a")
			w.turn()
			require.True(t, w.record(id).Uncertain)
			for range c.others {
				w.another(job.NewID())
			}
			w.pass(2*time.Minute, time.Second)
			for url, n := range w.sim.SubmissionsByURL() {
				require.Equal(t, 1, n, url)
			}
			r := w.record(id)
			if c.found {
				require.Equal(t, wait.Waiting, r.State)
				return
			}
			require.Equal(t, wait.Parked, r.State, "nobody can tell, so it is not submitted again")
			require.EqualValues(t, 1, w.counts().Slots)
			w.pass(2*time.Hour, 20*time.Second, id)
			require.Equal(t, job.TimedOut, w.record(id).ErrorCode, "as if it had been at the API all the time")
			require.WithinDuration(t, start.Add(time.Hour), w.record(id).EndedAt, 3*time.Minute)
			require.Less(t, w.bus.count(event.SweepAdmitted), 100, "looked for at growing intervals")
		})
	}
}

// TestOneStatusPageThatFails says nothing of other sweeps, nor of submissions.
func TestOneStatusPageThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.sim.Delay = time.Hour })
	id, other := w.request("a"), w.request("a")
	w.turn()
	for range 20 {
		r := w.record(id)
		_, err := w.proc.waits.Reschedule(t.Context(), r, 0, wait.Report{})
		require.NoError(t, err)
		w.sim.RefuseNext(1, http.StatusInternalServerError, 0)
		require.NoError(t, supervise.AdmitNext(w.proc.supervise, t.Context()))
		require.Equal(t, r.Tries+1, w.record(id).Tries)
	}
	require.Zero(t, w.counts().APIFailures)
	_, err := w.proc.waits.Reschedule(t.Context(), w.record(other), 0, wait.Report{})
	require.NoError(t, err)
	require.NoError(t, supervise.AdmitNext(w.proc.supervise, t.Context()))
	require.Equal(t, 1, w.record(other).Tries, "polled")
	next := w.request("a")
	w.deliver()
	require.Equal(t, wait.Waiting, w.record(next).State, "submitted")
}

// TestPollsDoNotCloseTheBreaker: the API takes no submissions and asks for a minute of
// silence. That it answers polls changes nothing.
func TestPollsDoNotCloseTheBreaker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.sim.Delay = time.Hour; o.wait.MaxConcurrent = 0; o.sim.MaxConcurrent = 0 })
	running := w.request("a")
	w.turn()
	w.sim.RefuseNext(1, http.StatusTooManyRequests, time.Minute)
	refused := w.request("a")
	w.deliver()
	var ids []string
	for range 50 {
		ids = append(ids, w.request("a"))
	}
	w.deliver()
	for range 58 {
		_, err := w.proc.waits.Reschedule(t.Context(), w.record(running), 0, wait.Report{})
		require.NoError(t, err)
		w.clock.Advance(time.Second)
		w.turn()
	}
	require.Greater(t, w.record(running).Tries, 50, "polls go on")
	require.EqualValues(t, 1, w.sim.Stats().Submissions)
	w.pass(5*time.Minute, time.Second)
	for _, id := range append(ids, refused) {
		require.Equal(t, wait.Waiting, w.record(id).State)
	}
}

// TestScriptsOfAJob counts the steps in Redis from webhook to end, with the real
// loops.
func TestScriptsOfAJob(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		slots, rpm int
		most       float64
	}{
		"no limits": {most: 4.2},
		"limits":    {slots: 5, rpm: 600_000, most: 5.3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *options) {
				o.redis, o.realTime = servertest.Redis(t), true
				o.wait.MaxConcurrent, o.wait.RequestsPerMinute = c.slots, c.rpm
				o.sim.MaxConcurrent = 0
				o.sim.Delay, o.supervise.Tick = 20*time.Millisecond, time.Hour
			})
			require.Eventually(t, func() bool { // a new budget fills
				pause, err := w.observer.Allow(t.Context())
				return err == nil && pause == 0
			}, time.Minute, 10*time.Millisecond)
			require.NoError(t, w.proc.supervise.Start(t.Context(), nil))
			t.Cleanup(func() { require.NoError(t, w.proc.supervise.Stop(context.Background())) })
			s := w.countScripts()
			const jobs = 300
			var ids []string
			for range jobs {
				ids = append(ids, w.request("a"))
			}
			require.Eventually(t, func() bool {
				w.deliverOnce()
				return w.allEnded(ids)
			}, time.Minute, time.Millisecond)
			require.NoError(t, w.proc.waits.Flush(t.Context()))
			t.Logf("%.2f scripts a job: %v", float64(s.count())/jobs, s.names)
			require.LessOrEqual(t, float64(s.count())/jobs, c.most)
		})
	}
}
