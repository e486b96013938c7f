package wait_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/wait"
)

func TestAwaitBudget(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{RequestsPerMinute: 100})
		for range 20 { // the burst
			require.NoError(t, w.Await(t.Context(), wait.Urgent))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, w.Await(ctx, wait.Urgent), context.DeadlineExceeded)
		c.advance(time.Second)
		require.NoError(t, w.Await(t.Context(), wait.Urgent))
	})
}

func TestBudget(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{RequestsPerMinute: 100})
		var taken []time.Time
		patient := 0
		for range 600 { // ten minutes of asking all the time
			for {
				pause, err := w.Allow(t.Context(), wait.Patient)
				require.NoError(t, err)
				if pause > 0 {
					break
				}
				patient++
				taken = append(taken, c.now())
			}
			for range 3 {
				pause, err := w.Allow(t.Context(), wait.Urgent)
				require.NoError(t, err)
				if pause == 0 {
					taken = append(taken, c.now())
				}
			}
			c.advance(time.Second)
		}
		for i, from := range taken {
			n := 0
			for _, at := range taken[i:] {
				if at.Sub(from) < time.Minute {
					n++
				}
			}
			require.LessOrEqual(t, n, 100, "in the minute from %s", from)
		}
		require.GreaterOrEqual(t, len(taken), 800, "and it is used")
		require.Less(t, patient, 100, "who can wait does not take from who can't")
		free, _ := open(t, url, wait.Config{RequestsPerMinute: 0})
		for range 1000 {
			pause, err := free.Allow(t.Context(), wait.Patient)
			require.NoError(t, err)
			require.Zero(t, pause)
		}
	})
}

func TestGate(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{GateMin: time.Second, GateMax: 30 * time.Second})
		fail := func(retryAfter time.Duration) time.Duration {
			until, err := w.Report(t.Context(), false, retryAfter)
			require.NoError(t, err)
			return until.Sub(c.now())
		}
		require.Equal(t, time.Second, fail(0))
		require.Equal(t, time.Second, fail(0), "the same trouble")
		e, err := w.Enter(t.Context(), header("a"))
		require.NoError(t, err)
		require.Equal(t, wait.InLine, e.Verdict, "slots are free, but the gate is shut")
		_, err = w.Enter(t.Context(), header("a"))
		require.NoError(t, err)
		ids, again, err := w.Admit(t.Context(), 10)
		require.NoError(t, err)
		require.Empty(t, ids)
		require.Equal(t, c.now().Add(time.Second).UnixMilli(), again.UnixMilli())
		c.advance(time.Second)
		ids, _, err = w.Admit(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, ids, 1, "one tries")
		more, _, err := w.Admit(t.Context(), 10)
		require.NoError(t, err)
		require.Empty(t, more)
		require.Equal(t, 2*time.Second, fail(0), "the probe failed")
		c.advance(2 * time.Second)
		require.Equal(t, 4*time.Second, fail(0))
		require.Equal(t, 40*time.Second, fail(40*time.Second), "the API asks for it")
		until, err := w.Report(t.Context(), true, 0)
		require.NoError(t, err)
		require.Zero(t, until)
		ids, _, err = w.Admit(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, ids, 1)
	})
}
