package supervise_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/wait"
)

func TestOwnerCancelsAtEveryState(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(w *world) (id string, want int64){
		"accepted": func(w *world) (string, int64) {
			id := w.request("a")
			require.Equal(w.t, wait.Accepted, w.record(id).State)
			return id, 0
		},
		"in line": func(w *world) (string, int64) {
			w.request("a")
			w.deliver()
			id := w.request("a")
			w.deliver()
			require.Equal(w.t, 1, w.record(id).Place)
			return id, 0
		},
		"waiting": func(w *world) (string, int64) {
			id := w.request("a")
			w.deliver()
			require.Equal(w.t, wait.Waiting, w.record(id).State)
			return id, 1
		},
		"submitting, answer lost": func(w *world) (string, int64) {
			w.sim.CutNextAnswers(1)
			id := w.request("a")
			_, err := w.proc.submit.Handle(w.t.Context(), w.bus.queue[0])
			require.NoError(w.t, err)
			w.bus.queue = nil
			require.Equal(w.t, wait.Parked, w.record(id).State)
			require.Equal(w.t, 1, w.sim.Stats().InFlight)
			return id, 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *options) { o.wait.MaxConcurrent = 1; o.sim.Delay = time.Hour })
			id, want := before(w)
			state, err := w.proc.waits.Cancel(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, wait.Failed, state)
			for range 60 {
				w.turn()
				w.clock.Advance(time.Second)
			}
			require.Equal(t, event.SweepFailed, w.onlyEnd(id).Type())
			r := w.record(id)
			require.Equal(t, job.Cancelled, r.ErrorCode)
			require.Equal(t, event.ViaOwner, r.Via)
			require.Empty(t, r.Actions)
			require.Equal(t, want, w.sim.Stats().Cancelled)
			_, err = w.proc.waits.Cancel(t.Context(), id)
			require.NoError(t, err, "again")
			require.Equal(t, http.StatusOK, w.post(id, `{"job_id":"x","status":"cancelled"}`), "the API tells of it as well")
			require.Len(t, w.bus.ended(id), 1)
			require.Empty(t, w.bus.lates)
		})
	}
}

func TestCancelAnUnknownJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.proc.waits.Cancel(t.Context(), job.NewID())
	require.ErrorIs(t, err, wait.ErrUnknown)
	_, err = w.proc.waits.Cancel(t.Context(), "no id")
	require.ErrorIs(t, err, wait.ErrUnknown)
}

// TestCancelWhileTheAPIIsDown: the owner is told at once, the slot stays taken
// until the sweep is gone for certain.
func TestCancelWhileTheAPIIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.wait.MaxConcurrent = 1; o.sim.Delay = time.Hour })
	id := w.request("a")
	w.deliver()
	next := w.request("a")
	w.deliver()
	w.sim.SetDown(true)
	_, err := w.proc.waits.Cancel(t.Context(), id)
	require.NoError(t, err)
	w.pass(2*time.Minute, time.Second)
	require.Equal(t, event.SweepFailed, w.onlyEnd(id).Type())
	require.Equal(t, wait.Parked, w.record(next).State)
	w.sim.SetDown(false)
	w.pass(2*time.Minute, time.Second)
	require.EqualValues(t, 1, w.sim.Stats().Cancelled)
	require.Equal(t, wait.Waiting, w.record(next).State)
	require.Equal(t, 1, w.sim.Stats().MaxSeen)
}
