package supervise_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/wait"
)

// The callback step's own tests look at requests; these look at what callbacks
// do to a job.

func TestEarlyCallback(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on, func(o *options) { o.sim.EarlyCallbacks = 1 })
		var before wait.State
		w.onCallback = func(*http.Request) {
			for _, e := range w.bus.all {
				before = w.record(e.Subject()).State
			}
		}
		id := w.request("a")
		w.turn()
		w.idle()
		require.Equal(t, wait.Submitting, before, "the callback overtook the answer")
		require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
		r := w.record(id)
		require.Empty(t, r.Actions)
		require.NotEmpty(t, r.TradingJobID)
		w.pass(time.Hour, time.Minute)
		w.onlyEnd(id)
		c, err := w.observer.Count(t.Context())
		require.NoError(t, err)
		require.Zero(t, c)
	})
}

func TestDuplicateAndContradictoryCallbacks(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on, func(o *options) { o.sim.Delay = time.Hour })
		id := w.request("a")
		w.turn()
		x := w.record(id).TradingJobID
		bad := fmt.Sprintf(`{"event_type":"sweep.failed","job_id":%q,"status":"failed","error_message":"no data"}`, x)
		good := fmt.Sprintf(`{"job_id":%q,"status":"completed","sweep_run_id":"run-1"}`, x)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if code := w.post(id, bad); code != http.StatusOK {
					t.Errorf("answered %d", code)
				}
			})
		}
		wg.Wait()
		require.Equal(t, http.StatusOK, w.post(id, good))
		require.Equal(t, http.StatusOK, w.post(id, good))
		d, err := event.Data[event.Failed](w.onlyEnd(id))
		require.NoError(t, err)
		require.Equal(t, job.SweepFailed, d.ErrorCode)
		require.Equal(t, "no data", d.ErrorMessage)
		require.Len(t, w.bus.lates, 1)
		late, err := event.Data[event.Completed](w.bus.lates[0])
		require.NoError(t, err)
		require.True(t, late.Late)
		require.Equal(t, "run-1", late.SweepRunID)
		require.Equal(t, wait.Failed, w.record(id).State)
	})
}

// TestCallbackWithoutRunID: the API is asked; while it can't say, the wait goes
// on.
func TestCallbackWithoutRunID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.sim.Delay, o.sim.LoseCallbacks = time.Minute, 1 })
	id := w.request("a")
	w.turn()
	require.NoError(t, w.sim.Running(t.Context(), 1))
	body := fmt.Sprintf(`{"job_id":%q,"status":"completed"}`, w.record(id).TradingJobID)
	require.Equal(t, http.StatusServiceUnavailable, w.post(id, body), "the API says that it still runs")
	require.Equal(t, wait.Waiting, w.record(id).State)
	w.clock.Advance(time.Minute)
	w.idle()
	require.Equal(t, http.StatusOK, w.post(id, body))
	d, err := event.Data[event.Completed](w.onlyEnd(id))
	require.NoError(t, err)
	require.NotEmpty(t, d.SweepRunID)
	require.Equal(t, http.StatusOK, w.post(id, body), "again")
	require.Empty(t, w.bus.lates)
}

// TestBrokerDownAtCallback: the API never calls again, but nothing is lost.
func TestBrokerDownAtCallback(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.sim.Delay = time.Hour })
	id := w.request("a")
	w.turn()
	body := fmt.Sprintf(`{"job_id":%q,"status":"completed","sweep_run_id":"run-1"}`, w.record(id).TradingJobID)
	w.bus.down.Store(true)
	require.Equal(t, http.StatusServiceUnavailable, w.post(id, body))
	w.pass(time.Minute, time.Second)
	require.Empty(t, w.bus.ended(id))
	w.bus.down.Store(false)
	w.pass(time.Minute, time.Second, id)
	require.Equal(t, event.ViaCallback, w.record(id).Via)
	require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
}

// TestBrokerDownAtLateCallback: a contradiction that comes while the broker is
// away gets into the timeline later.
func TestBrokerDownAtLateCallback(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on, func(o *options) { o.sim.Delay = time.Hour })
		id := w.request("a")
		w.turn()
		x := w.record(id).TradingJobID
		require.Equal(t, http.StatusOK, w.post(id, fmt.Sprintf(`{"job_id":%q,"status":"failed","error_message":"no data"}`, x)))
		w.bus.down.Store(true)
		good := fmt.Sprintf(`{"job_id":%q,"status":"completed","sweep_run_id":"run-1"}`, x)
		require.Equal(t, http.StatusOK, w.post(id, good))
		require.True(t, w.record(id).Actions.Has(wait.ActionLate))
		w.pass(time.Minute, time.Second)
		require.Equal(t, http.StatusServiceUnavailable, w.post(id, fmt.Sprintf(`{"job_id":%q,"status":"cancelled"}`, x)), "there is room for one")
		require.Empty(t, w.bus.lates)
		w.bus.down.Store(false)
		w.pass(time.Minute, time.Second)
		require.Len(t, w.bus.lates, 1)
		late, err := event.Data[event.Completed](w.bus.lates[0])
		require.NoError(t, err)
		require.Equal(t, "run-1", late.SweepRunID)
		r := w.record(id)
		require.Equal(t, wait.Failed, r.State)
		require.Empty(t, r.Actions)
		require.Nil(t, r.Late)
		w.onlyEnd(id)
	})
}

// TestCallbackOfAnotherSweep: a token is of a job, not of a sweep. Whatever another
// sweep has come to, the job goes on.
func TestCallbackOfAnotherSweep(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on, func(o *options) { o.sim.Delay = time.Minute })
		id := w.request("a")
		w.turn()
		before := w.record(id)
		for _, body := range []string{
			`{"job_id":"another","status":"completed","sweep_run_id":"run-of-another"}`,
			`{"job_id":"another","status":"completed"}`,
			`{"job_id":"another","status":"failed","error_message":"no data"}`,
			`{"job_id":"another","event_type":"sweep.cancelled","status":"cancelled"}`,
		} {
			require.Equal(t, http.StatusOK, w.post(id, body), body)
			r := w.record(id)
			require.Equal(t, wait.Waiting, r.State, body)
			require.Equal(t, before.TradingJobID, r.TradingJobID, body)
		}
		require.Empty(t, w.bus.ended(id))
		require.Empty(t, w.bus.lates)
		w.clock.Advance(time.Minute)
		w.idle()
		w.pass(time.Minute, time.Second, id)
		require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
		require.Equal(t, before.TradingJobID, w.record(id).TradingJobID)
	})
}
