package wait_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/admission"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/wait"
)

func TestBreaker(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{BackoffMin: time.Second, BackoffMax: 30 * time.Second})
		fail := func(retryAfter time.Duration) time.Duration {
			shut, err := w.Report(t.Context(), admission.Submissions, false, retryAfter)
			require.NoError(t, err)
			return shut
		}
		deal := func() wait.Grants {
			d, err := w.AdmitNext(t.Context(), 10, 10, time.Minute)
			require.NoError(t, err)
			return d
		}
		require.Equal(t, time.Second, fail(0))
		require.Equal(t, time.Second, fail(0), "the same trouble")
		for range 3 {
			e, err := w.Enter(t.Context(), header("a"))
			require.NoError(t, err)
			require.Equal(t, wait.Queued, e.Decision, "slots are free, but the gate is shut")
		}
		d := deal()
		require.Empty(t, d.Admitted)
		require.Equal(t, time.Second, d.Again)
		c.advance(time.Second)
		require.Len(t, deal().Admitted, 1, "one tries")
		require.Empty(t, deal().Admitted)
		require.Equal(t, 2*time.Second, fail(0), "the probe failed")
		c.advance(2 * time.Second)
		require.Equal(t, 4*time.Second, fail(0))
		require.Equal(t, 40*time.Second, fail(40*time.Second), "the API asks for it")
		shut, err := w.Report(t.Context(), admission.Submissions, true, 0)
		require.NoError(t, err)
		require.Equal(t, 40*time.Second, shut, "what it asks for holds, whatever succeeds")
		shut, err = w.Report(t.Context(), admission.Reads, true, 0)
		require.NoError(t, err)
		require.Zero(t, shut, "of submissions")
		require.Empty(t, deal().Admitted)
		c.advance(40 * time.Second)
		require.Len(t, deal().Admitted, 2, "all the others")
	})
}

// Whoever was to try the API out and has to look for a lost sweep first, as Redis was
// started again, lets the others try: nobody waits for a probe that is not made.
func TestProbeThatHasToLook(t *testing.T) {
	t.Parallel()
	url := servertest.Redis(t) // an embedded one does not tell when it was started
	prefix := "test" + job.NewID() + ":"
	w, c := open(t, url, wait.Config{BackoffMin: time.Second, BackoffMax: 30 * time.Second, KeyPrefix: prefix, MaxConcurrent: 5})
	enter := func(h job.Header) wait.Decision {
		e, err := w.Enter(t.Context(), h)
		require.NoError(t, err)
		return e.Decision
	}
	_, err := w.Report(t.Context(), admission.Submissions, false, 0)
	require.NoError(t, err)
	for range 3 {
		h := header("a")
		_, err := w.Accept(t.Context(), h, "print")
		require.NoError(t, err)
		require.Equal(t, wait.Queued, enter(h))
	}
	client, err := redisclient.New(url)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.HSet(t.Context(), prefix+"{w}:restarts", "run", "the one before").Err())
	c.advance(time.Second)
	for range 10 {
		d, err := w.AdmitNext(t.Context(), 10, 10, time.Minute)
		require.NoError(t, err)
		require.NotEmpty(t, d.Admitted, "someone may try at once")
		for _, r := range d.Admitted {
			if enter(r.Header) == wait.FindFirst {
				return
			}
		}
	}
	require.Fail(t, "nobody looks")
}

// TestNoMinuteSeesMore asks for calls of all kinds all the time.
func TestNoMinuteSeesMore(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{RequestsPerMinute: 100})
		for range 200 { // more than will be granted a poll
			h := header("acme")
			e, err := w.Enter(t.Context(), h)
			require.NoError(t, err)
			require.Equal(t, wait.Queued, e.Decision, "nothing is known of the last minute")
			_, _, err = w.Note(t.Context(), h.JobID, h.JobID, 0, time.Second)
			require.NoError(t, err)
		}
		var taken []time.Time
		polls := 0
		for range 600 { // ten minutes
			c.advance(time.Second)
			d, err := w.AdmitNext(t.Context(), 10, 10, time.Hour)
			require.NoError(t, err)
			for range d.Calls {
				polls++
				taken = append(taken, c.now())
			}
			for range 3 {
				pause, err := w.Allow(t.Context())
				require.NoError(t, err)
				if pause == 0 {
					taken = append(taken, c.now())
				}
			}
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
		require.GreaterOrEqual(t, len(taken), 780, "and it is used")
		require.Equal(t, 200, polls, "nobody who asks on the side keeps polls from theirs")
	})
}

// TestAdmissionUsedLate: it was granted with its call, and used when that had got old.
// The attempt waits for another; it is not requeued.
func TestAdmissionUsedLate(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{MaxConcurrent: 1, RequestsPerMinute: 100})
		h := header("a")
		_, err := w.Accept(t.Context(), h, "")
		require.NoError(t, err)
		enter := func() wait.Entry {
			e, err := w.Enter(t.Context(), h, wait.WithHealthCheck)
			require.NoError(t, err)
			return e
		}
		require.Equal(t, wait.Queued, enter().Decision)
		c.advance(time.Minute)
		d, err := w.AdmitNext(t.Context(), 5, 5, time.Minute)
		require.NoError(t, err)
		require.Len(t, d.Admitted, 1)
		for range 100 { // others are faster
			_, err := w.Allow(t.Context())
			require.NoError(t, err)
		}
		c.advance(time.Second)
		for range 100 {
			_, err := w.Allow(t.Context())
			require.NoError(t, err)
		}
		c.advance(admission.Fresh)
		for range 100 {
			_, err := w.Allow(t.Context())
			require.NoError(t, err)
		}
		e := enter()
		require.Equal(t, wait.SubmitNow, e.Decision)
		require.False(t, e.Check, "there was no call to spare for that")
		require.False(t, e.Calls.Spend())
		require.Equal(t, wait.Busy, enter().Decision)
	})
}
