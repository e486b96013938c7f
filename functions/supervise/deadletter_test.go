package supervise_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/seal"
	"github.com/zixly/sweepline/shared/wait"
)

// dead is an event as a broker gives it up that was refused.
func dead(e cloudevents.Event) cloudevents.Event { return deadAt(e, "http://somewhere.test/", 500) }

func deadAt(e cloudevents.Event, dest string, code int) cloudevents.Event {
	d := e.Clone()
	d.SetExtension("knativeerrordest", dest)
	if code != 0 {
		d.SetExtension("knativeerrorcode", code)
	}
	d.SetExtension("knativeerrordata", "bm8=")
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
	for name, c := range map[string]struct {
		typ    string
		before func(w *world)
		at     string
	}{
		"requested": {event.SweepRequested, func(*world) {}, "http://submit.sweepline.svc.cluster.local"},
		"admitted": {event.SweepAdmitted, func(w *world) {
			w.request("b") // has the slot
			w.deliver()
			w.request("a")
			w.deliver()
			w.clock.Advance(30 * time.Second)
			w.idle()
			_ = supervise.AdmitNext(w.proc.supervise, w.t.Context())
		}, "http://127.0.0.1:8123/submit"},
		"completed": {event.SweepCompleted, func(w *world) { w.deliver(); w.clock.Advance(30 * time.Second); w.idle() }, "http://collect.sweepline.svc.cluster.local/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *options) { o.wait.MaxConcurrent, o.sim.Delay = 1, 20*time.Second })
			if name != "admitted" {
				w.request("a")
			}
			c.before(w)
			e := w.find(c.typ)
			id := e.Subject()
			for range 2 {
				_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), deadAt(e, c.at, 500))
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
			require.Empty(t, w.record(id).Actions)
		})
	}
}

// A step that has other seal keys, for a while, costs no job: it is sent the event again
// when it may have ours.
func TestDeadLettersThatNobodyHasRead(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{event.SweepRequested, event.SweepAdmitted, event.SweepCompleted} {
		for _, code := range []int{401, 403} {
			w := newWorld(t, func(o *options) { o.wait.MaxConcurrent, o.sim.Delay = 1, 20*time.Second })
			b := newBook()
			w.reconcile(b)
			r, _ := w.reconciler(b)
			refused, handled := "", false
			w.bus.loses = func(e cloudevents.Event) bool {
				if e.Type() == typ && refused == "" {
					refused = e.ID()
				}
				return e.ID() == refused
			}
			b.misses = func(e cloudevents.Event) bool { return typ == event.SweepCompleted && e.ID() == refused }
			jobs := []string{w.request("a"), w.request("a")}
			for range 150 {
				w.pass(time.Minute, 10*time.Second)
				if refused != "" && !handled {
					handled = true
					_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), deadAt(w.find(typ), "http://submit.sweepline.svc.cluster.local", code))
					require.NoError(t, err)
				}
				b.catchUp(w)
				_, err := r.Round(t.Context(), false)
				require.NoError(t, err)
			}
			for _, id := range jobs {
				require.Equal(t, job.Completed, b.status(id), "%s %d", typ, code)
			}
			require.EqualValues(t, 2, w.sim.Stats().Submissions)
		}
	}
}

// What died at the store costs no job whose sweep is under way: its end tells
// the store everything.
func TestDeadLettersOfTheStoreLeaveTheJobAlone(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, 500, 503} {
		w := newWorld(t, func(o *options) { o.sim.Delay = 20 * time.Second; o.wait.MaxConcurrent = 1 })
		running := w.request("a")
		w.deliver()
		parked := w.request("a")
		w.deliver()
		requested := w.find(event.SweepRequested)
		second := requested.Clone()
		for _, e := range w.bus.all {
			if e.Type() == event.SweepRequested && e.Subject() == parked {
				second = e
			}
		}
		for _, e := range []cloudevents.Event{requested, w.find(event.SweepSubmitted), second} {
			_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), deadAt(e, "http://store.sweepline.svc.cluster.local", code))
			require.NoError(t, err)
		}
		// Of unknown address, a request is one that submit has taken.
		_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), deadAt(requested, "http://proxy.test", code))
		require.NoError(t, err)
		w.pass(10*time.Minute, time.Second, running, parked)
		require.Equal(t, event.SweepCompleted, w.onlyEnd(running).Type())
		require.Equal(t, event.SweepCompleted, w.onlyEnd(parked).Type())
	}
}

// Store was away for a day: all that was said of the job meanwhile is dead. It
// is told again when it is back, as often as that takes.
func TestAnEndThatDiedOfOldAge(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*options){
		"failed":    func(o *options) { o.sim.Fail = 1 },
		"completed": func(*options) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, change)
			b := newBook()
			w.reconcile(b)
			id := w.request("a")
			w.pass(time.Minute, time.Second, id)
			e := w.onlyEnd(id)
			b.away = errors.New("database away")
			for i := range 3 {
				_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), deadAt(e, "http://store.sweepline.svc.cluster.local", 503))
				require.NoError(t, err)
				ends := w.bus.ended(id)
				require.Len(t, ends, i+2)
				again := ends[i+1]
				require.Equal(t, fmt.Sprintf("%s/%s/again-%d", id, name, i+1), again.ID())
				require.Equal(t, e.Type(), again.Type())
				require.Equal(t, e.Data(), again.Data())
				require.NotContains(t, again.Extensions(), "knativeerrorcode", "it is no dead letter any more")
				require.NotContains(t, again.Extensions(), "knativeerrordest")
				e = again
			}
			b.away = nil
			b.resolve(t, e)
			require.True(t, b.status(id).Terminal())
			_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), deadAt(e, "http://store.sweepline.svc.cluster.local", 503))
			require.NoError(t, err)
			require.Len(t, w.bus.ended(id), 4, "the store has it")
		})
	}
}

// A store that refuses the end of a job must not be asked in a loop: each answer
// takes it a millisecond. The reconciler asks it, ever more seldom.
func TestAnEndThatIsRefusedIsNoHotLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.sim.Fail = 1 })
	b := newBook()
	b.misses = func(e cloudevents.Event) bool { return e.Type() == event.SweepFailed }
	r := w.reconcile(b)
	id := w.request("a")
	w.pass(time.Minute, time.Second, id)
	b.catchUp(w)
	died := 1
	for seen := 0; ; {
		ends := w.bus.ended(id)
		for _, e := range ends[seen:] {
			_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), deadAt(e, "http://store.sweepline.svc.cluster.local", 422))
			require.NoError(t, err)
			died++
		}
		seen = len(ends)
		w.clock.Advance(5 * time.Minute)
		_, err := r.Round(t.Context(), false)
		require.NoError(t, err)
		if w.clock.Now().Sub(start) > 24*time.Hour {
			break
		}
	}
	require.Less(t, died, 8, "in a day")
	require.Greater(t, died, 4)
	b.misses = nil
	w.clock.Advance(24 * time.Hour)
	_, err := r.Round(t.Context(), false)
	require.NoError(t, err)
	b.catchUp(w)
	require.Equal(t, job.Failed, b.status(id), "it is asked until it takes the end")
}

// Results that nobody takes fail the job, unless they were stored all the same.
func TestRefusedResults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBook()
	w.reconcile(b)
	stored, refused := w.request("a"), w.request("a")
	w.pass(time.Minute, time.Second, stored, refused)
	b.resolve(t, w.onlyEnd(stored))
	for _, id := range []string{stored, refused} {
		_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), deadAt(w.onlyEnd(id), "http://collect.sweepline.svc.cluster.local", 422))
		require.NoError(t, err)
	}
	require.Equal(t, wait.Completed, w.record(stored).State)
	require.Equal(t, job.Undeliverable, w.record(refused).ErrorCode)
}

// The record is gone with its Redis; the job store decides whether there is a job
// to end.
func TestADeadRequestOfALostJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBook()
	w.reconcile(b)
	open, unheard := w.request("a"), w.request("a")
	w.bus.mu.Lock()
	requests := slices.Clone(w.bus.all)
	w.bus.mu.Unlock()
	b.resolve(t, requests[0])
	w.loseRedis()
	for _, e := range requests {
		_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), deadAt(e, "http://submit.sweepline.svc.cluster.local", 503))
		require.NoError(t, err)
	}
	require.Empty(t, w.bus.ended(open), "it is restored and submitted")
	require.Equal(t, event.SweepFailed, w.onlyEnd(unheard).Type())
	w.pass(time.Minute, time.Second, open)
	require.Equal(t, event.SweepCompleted, w.onlyEnd(open).Type())
}

// What was to be counted here is counted, and fails no job.
func TestDeadLettersOfTheMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.request("a")
	for range 2 {
		_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), deadAt(w.find(event.SweepRequested), "http://supervise.sweepline.svc.cluster.local", 503))
		require.NoError(t, err)
	}
	require.Equal(t, wait.Accepted, w.record(id).State)
	w.pass(time.Minute, time.Second, id)
	require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
}

func TestDeadLetterOfAForgottenJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, err := event.NewRequested(event.Requested{Header: job.Header{JobID: job.NewID(), TenantID: "a", JobType: job.Type, CreatedAt: start}})
	require.NoError(t, err)
	_, err = w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), dead(e))
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
		_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), dead(e))
		require.NoError(t, err)
	}
	require.Equal(t, wait.Completed, w.record(id).State, "a job that has ended is not ended by an old event")
	w.onlyEnd(id)

	notified, err := event.NewNotified(event.Notified{Header: w.record(id).Header, Channel: "log", NotifiedAt: start})
	require.NoError(t, err)
	_, err = w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), dead(notified))
	require.NoError(t, err)

	broken := w.find(event.SweepRequested)
	require.NoError(t, broken.SetData("application/json", []byte(`{"job_id":"x"}`)))
	_, err = w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), dead(broken))
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
	_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), dead(requested))
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

// TestDeadLettersOfAnotherTenant: a dead letter ends a job of its own tenant only,
// whether its data says whose it is or lies.
func TestDeadLettersOfAnotherTenant(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on, func(o *options) { o.sim.Delay = time.Hour })
		id := w.request("a")
		h := w.record(id).Header
		h.TenantID = "b"
		requested, err := event.NewRequested(event.Requested{Header: h})
		require.NoError(t, err)
		completed, err := event.NewCompleted(event.Completed{Header: h, SweepRunID: "run-1", CompletedAt: start, Via: event.ViaPoll})
		require.NoError(t, err)
		lying := w.find(event.SweepRequested).Clone()
		lying.SetExtension(event.ExtTenant, "b")
		for _, e := range []cloudevents.Event{requested, completed, lying} {
			_, err := w.proc.supervise.Handle(function.AsDeadLetter(t.Context()), dead(e))
			var result *cehttp.Result
			require.ErrorAs(t, err, &result, e.Type())
			require.Equal(t, 422, result.StatusCode)
			require.Equal(t, wait.Accepted, w.record(id).State)
		}
		require.Empty(t, w.bus.ended(id))
	})
}

// TestOnlyTheDeadLetterPathCounts: what a publisher behind another broker adds to an
// event that it has seen ends no job, nor does a letter without those attributes get
// lost.
func TestOnlyTheDeadLetterPathCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) { o.wait.MaxConcurrent, o.sim.Delay = 1, 20*time.Second })
	id := w.request("a")
	requested := w.find(event.SweepRequested)
	keys, err := seal.New(seal.Config{Key: "a-key-for-tests-only"})
	require.NoError(t, err)
	h, err := function.Handler("supervise", w.proc.supervise, prometheus.NewRegistry(), function.WithSeals(keys))
	require.NoError(t, err)
	post := func(path string, e cloudevents.Event) {
		keys.Seal(&e)
		r, err := cehttp.NewHTTPRequestFromEvent(t.Context(), "http://supervise.test"+path, e)
		require.NoError(t, err)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		require.Equal(t, http.StatusOK, rec.Code)
	}
	state := func() wait.State {
		r, err := w.proc.waits.Get(t.Context(), id)
		require.NoError(t, err)
		return r.State
	}
	for _, path := range []string{"/", "/dead-letters", "/dead-letter/x", "/x/dead-letter"} {
		post(path, dead(requested))
		require.False(t, state().Ended(), path)
	}
	plain := requested.Clone()
	post("/dead-letter", plain)
	require.Equal(t, wait.Failed, state())
}
