package supervise_test

import (
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/wait"
)

// dead is an event as a broker gives it up.
func dead(e cloudevents.Event) cloudevents.Event {
	d := e.Clone()
	d.SetExtension("knativeerrordest", "http://store.test/")
	d.SetExtension("knativeerrorcode", 500)
	return d
}

func (w *world) find(typ string) cloudevents.Event {
	w.t.Helper()
	for _, e := range w.bus.all {
		if e.Type() == typ {
			return e
		}
	}
	require.Fail(w.t, "no "+typ)
	return cloudevents.Event{}
}

func TestDeadLettersEndTheirJob(t *testing.T) {
	t.Parallel()
	for typ, before := range map[string]func(w *world){
		event.SweepRequested: func(*world) {},
		event.SweepSubmitted: func(w *world) { w.deliver() },
		event.SweepCompleted: func(w *world) { w.deliver(); w.idle() },
	} {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *options) {
				if typ == event.SweepSubmitted {
					o.sim.Delay = time.Hour
				}
			})
			id := w.request("a")
			before(w)
			e := dead(w.find(typ))
			for range 2 {
				_, err := w.proc.supervise.Handle(t.Context(), e)
				require.NoError(t, err)
			}
			ends := w.bus.ended(id)
			last := ends[len(ends)-1]
			require.Equal(t, event.SweepFailed, last.Type())
			d, err := event.Data[event.Failed](last)
			require.NoError(t, err)
			require.Equal(t, job.Undeliverable, d.ErrorCode)
			require.Equal(t, event.ViaDeadLetter, d.Via)
			require.Equal(t, job.Undeliverable, w.record(id).ErrorCode)
			w.pass(time.Minute, time.Second)
			require.Zero(t, w.sim.Stats().InFlight, "nobody waits for the sweep any more")
			require.Empty(t, w.record(id).Chores)
		})
	}
}

func TestDeadLetterOfAForgottenJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, err := event.NewRequested(event.Requested{Header: job.Header{JobID: job.NewID(), TenantID: "a", JobType: job.Type, CreatedAt: start}})
	require.NoError(t, err)
	_, err = w.proc.supervise.Handle(t.Context(), dead(e))
	require.NoError(t, err)
	require.Equal(t, event.SweepFailed, w.onlyEnd(e.Subject()).Type())
}

func TestDeadLettersThatEndNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.request("a")
	w.turn()
	w.idle()
	for _, e := range []cloudevents.Event{w.find(event.SweepRequested), w.find(event.SweepSubmitted)} {
		_, err := w.proc.supervise.Handle(t.Context(), dead(e))
		require.NoError(t, err)
	}
	require.Equal(t, wait.Completed, w.record(id).State, "a job that has ended is not ended by an old event")
	w.onlyEnd(id)

	notified, err := event.NewNotified(event.Notified{Header: w.record(id).Header, Channel: "log", NotifiedAt: start})
	require.NoError(t, err)
	_, err = w.proc.supervise.Handle(t.Context(), dead(notified))
	require.NoError(t, err)

	broken := w.find(event.SweepRequested)
	require.NoError(t, broken.SetData("application/json", []byte(`{"job_id":"x"}`)))
	_, err = w.proc.supervise.Handle(t.Context(), dead(broken))
	var result *cehttp.Result
	require.ErrorAs(t, err, &result)
	require.Equal(t, 422, result.StatusCode)
}

// TestRedrivenEventsOfAJobThatHasEnded change nothing: its state is final. Who wants
// the sweep after all retries the job.
func TestRedrivenEventsOfAJobThatHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.sim.Delay = time.Hour })
	id := w.request("a")
	requested := w.find(event.SweepRequested)
	_, err := w.proc.supervise.Handle(t.Context(), dead(requested))
	require.NoError(t, err)
	require.Equal(t, job.Undeliverable, w.record(id).ErrorCode)
	reply, err := w.proc.submit.Handle(t.Context(), requested) // redriven
	require.NoError(t, err)
	require.Nil(t, reply)
	w.pass(time.Minute, time.Second)
	require.Zero(t, w.sim.Stats().Submissions)
	require.Equal(t, job.Undeliverable, w.record(id).ErrorCode)
	w.onlyEnd(id)
}
