package supervise_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/servers"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// Redis comes back as it was a second ago: before the sweep was submitted. The
// event is delivered again, and the sweep runs. It is found, and not submitted a
// second time.
func TestRedisComesBackASecondOlder(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]int{"accepted": 5, "parked": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servertest.Redis(t) // skip, or fail, where there is none
			dir, err := os.MkdirTemp("", "sweepline-test-")
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			r, err := servers.StartRedis(context.Background(), dir+"/redis")
			require.NoError(t, err)
			t.Cleanup(func() { r.Stop() })
			w := newWorld(t, func(o *options) {
				o.redis, o.wait.MaxConcurrent, o.sim.Delay, o.sim.LoseCallbacks = r.URL, limit, 20*time.Second, 1
			})
			b := newBook()
			first := w.request("a")
			w.turn()
			id := w.request("a")
			if name == "parked" {
				w.deliver() // it is queued
			}
			if name == "accepted" {
				w.bus.mu.Lock()
				w.bus.queue = nil // the event is on its way
				w.bus.mu.Unlock()
			}
			b.catchUp(w)
			cp := exec.CommandContext(t.Context(), "cp", "-a", dir+"/redis", dir+"/older")
			require.NoError(t, cp.Run())

			// The second that gets lost.
			if name == "parked" {
				w.clock.Advance(30 * time.Second)
				w.idle()
				w.turn()
			} else {
				h := w.record(id).Header
				e, err := event.NewRequested(event.Requested{Header: h})
				require.NoError(t, err)
				_, err = w.proc.submit.Handle(t.Context(), e)
				require.NoError(t, err)
			}
			require.EqualValues(t, 2, w.sim.Stats().Submissions)
			w.loseBroker()

			r.Kill()
			require.NoError(t, os.RemoveAll(dir+"/redis"))
			require.NoError(t, os.Rename(dir+"/older", dir+"/redis"))
			r, err = servers.StartRedis(context.Background(), dir+"/redis")
			require.NoError(t, err)
			require.Eventually(t, func() bool { // until the clients of before have found it
				return w.proc.waits.Ping(t.Context()) == nil && w.observer.Ping(t.Context()) == nil
			}, time.Minute, 20*time.Millisecond)
			w.restart(nil)
			h := w.record(id).Header
			e, err := event.NewRequested(event.Requested{Header: h})
			require.NoError(t, err)
			_, err = w.proc.submit.Handle(t.Context(), e)
			require.NoError(t, err)
			w.pass(10*time.Minute, time.Second, first, id)
			require.Equal(t, event.SweepCompleted, w.bus.ended(id)[0].Type())
			for url, n := range w.sim.SubmissionsByURL() {
				require.Equal(t, 1, n, "submissions of %s", url)
			}
		})
	}
}
