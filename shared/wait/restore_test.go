package wait_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/wait"
)

func TestRestoreAQueuedJob(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{MaxConcurrent: 1, QueueTimeout: time.Hour})
		h := header("acme")
		c.advance(10 * time.Minute)
		r, ok, err := w.Restore(t.Context(), wait.Lost{Header: h})
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, wait.Parked, r.State)
		require.Equal(t, h, r.Header)
		require.Equal(t, start.Add(time.Hour), r.Deadline, "it has been queued since it was accepted")
		_, ok, err = w.Restore(t.Context(), wait.Lost{Header: h, TradingJobID: "t-1", StartedAt: start})
		require.NoError(t, err)
		require.False(t, ok, "a record that is there stays")
		grants, err := w.AdmitNext(t.Context(), 10, 10, time.Minute)
		require.NoError(t, err)
		require.Len(t, grants.Admitted, 1, "it is queued")
		entry, err := w.Enter(t.Context(), h)
		require.NoError(t, err)
		require.Equal(t, wait.FindFirst, entry.Decision, "the sweep may be at the API already")
	})
}

func TestAdmissionsOfARestoredJobAreNew(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{MaxConcurrent: 1})
		h := header("acme")
		c.advance(5 * time.Minute)
		_, _, err := w.Restore(t.Context(), wait.Lost{Header: h})
		require.NoError(t, err)
		grants, err := w.AdmitNext(t.Context(), 10, 10, time.Minute)
		require.NoError(t, err)
		require.Len(t, grants.Admitted, 1)
		require.Greater(t, grants.Admitted[0].Admissions, 299, "an earlier turn's event would be dropped as a repeat")
	})
}

func TestRestoreARunningJob(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{MaxConcurrent: 1, CallbackTimeout: time.Hour})
		running, other, next := header("acme"), header("acme"), header("acme")
		began := start.Add(time.Minute)
		c.advance(10 * time.Minute)
		r, ok, err := w.Restore(t.Context(), wait.Lost{Header: running, TradingJobID: "t-2", StartedAt: began, Submissions: 2})
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, wait.Waiting, r.State)
		require.Equal(t, "t-2", r.TradingJobID)
		require.Equal(t, began, r.StartedAt)
		require.Equal(t, 2, r.Submissions)
		require.Equal(t, began.Add(time.Hour), r.Deadline, "Redis was away, the sweep went on")
		_, ok, err = w.Restore(t.Context(), wait.Lost{Header: other, TradingJobID: "t-3", StartedAt: began, Submissions: 1})
		require.NoError(t, err)
		require.True(t, ok, "it is at the API, whatever the limit says")
		entry, err := w.Enter(t.Context(), next)
		require.NoError(t, err)
		require.Equal(t, wait.Queued, entry.Decision, "the restored sweeps hold the slots")
		counts, err := w.Count(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 2, counts.Slots)

		res, err := w.Resolve(t.Context(), running.JobID, wait.End{RunID: "run", TradingJobID: "t-2", Via: event.ViaCallback})
		require.NoError(t, err)
		require.True(t, res.Won, "its callback finds a record")
		e, err := res.Record.Event(t.Context())
		require.NoError(t, err)
		require.Equal(t, running.JobID+"/completed", e.ID())
	})
}

func TestLookupAndWalk(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		w, c := open(t, url, wait.Config{KeyPrefix: "te[s]t*?" + job.NewID() + ":"})
		other, _ := open(t, url, wait.Config{})
		accepted, refused, waiting, ended := header("a"), header("a"), header("b"), header("b")
		for _, h := range []job.Header{accepted, refused} {
			_, err := w.Accept(t.Context(), h, "print")
			require.NoError(t, err)
		}
		_, err := other.Accept(t.Context(), header("a"), "print")
		require.NoError(t, err)
		require.NoError(t, w.MarkRefused(t.Context(), refused.JobID))
		_, _, err = w.Restore(t.Context(), wait.Lost{Header: waiting, TradingJobID: "t", StartedAt: start})
		require.NoError(t, err)
		_, _, err = w.Restore(t.Context(), wait.Lost{Header: ended})
		require.NoError(t, err)
		c.advance(time.Minute)
		_, err = w.Resolve(t.Context(), ended.JobID, wait.End{Code: job.SweepFailed, Via: event.ViaPoll})
		require.NoError(t, err)

		records, err := w.Lookup(t.Context(), []string{accepted.JobID, refused.JobID, waiting.JobID, ended.JobID, job.NewID(), "no id"})
		require.NoError(t, err)
		require.Len(t, records, 4)
		require.Equal(t, ended, records[ended.JobID].Header)
		require.Equal(t, wait.Waiting, records[waiting.JobID].State)
		require.False(t, records[accepted.JobID].EventRefused)
		require.True(t, records[refused.JobID].EventRefused)
		records, err = w.Lookup(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, records)

		seen := map[string]wait.Summary{}
		for _, size := range []int{1, 100} {
			clear(seen)
			require.NoError(t, w.Walk(t.Context(), size, func(page []wait.Summary) error {
				for _, g := range page {
					seen[g.JobID] = g
				}
				return nil
			}))
			require.Equal(t, map[string]wait.Summary{
				accepted.JobID: {JobID: accepted.JobID, State: wait.Accepted, At: start},
				refused.JobID:  {JobID: refused.JobID, State: wait.Accepted, At: start, EventRefused: true},
				waiting.JobID:  {JobID: waiting.JobID, State: wait.Waiting},
				ended.JobID:    {JobID: ended.JobID, State: wait.Failed, At: start.Add(time.Minute)},
			}, seen, "of this prefix alone")
		}
		stop := errors.New("enough")
		require.ErrorIs(t, w.Walk(t.Context(), 100, func([]wait.Summary) error { return stop }), stop)

		a, err := w.Accept(t.Context(), refused, "print")
		require.NoError(t, err)
		require.True(t, a.Replayed)
		records, err = w.Lookup(t.Context(), []string{refused.JobID})
		require.NoError(t, err)
		require.False(t, records[refused.JobID].EventRefused, "the client has come again")
	})
}

// A client repeats its key after Redis came back empty: the sweep of before may be at the
// API. Of jobs that nobody can have asked for before nothing is looked for.
func TestAKeyRepeatedAfterRedisWasEmptied(t *testing.T) {
	t.Parallel()
	keyed := func(key string) job.Header {
		h := header("acme")
		h.JobID = job.DeriveID("acme", key, start)
		return h
	}
	for name, c := range map[string]struct {
		job      job.Header
		survivor bool          // a process has seen the Redis of before
		restored bool          // the store has an open job that Redis has lost
		later    time.Duration // since Redis came back
		want     wait.Decision
	}{
		"a process has lived through it":   {job: keyed("a"), survivor: true, want: wait.FindFirst},
		"the supervisor has found it":      {job: keyed("b"), restored: true, want: wait.FindFirst},
		"much later":                       {job: keyed("c"), survivor: true, later: wait.LossWindow + time.Minute, want: wait.SubmitNow},
		"no key":                           {job: header("acme"), survivor: true, want: wait.SubmitNow},
		"a Redis that never held anything": {job: keyed("d"), want: wait.SubmitNow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachRedis(t, func(t *testing.T, url string) {
				prefix := "test" + job.NewID() + ":"
				cfg := wait.Config{KeyPrefix: prefix, MaxConcurrent: 9}
				receive, _ := open(t, url, cfg)
				submit, clock := open(t, url, cfg)
				if c.survivor {
					_, err := receive.Accept(t.Context(), c.job, "print")
					require.NoError(t, err)
					entry, err := submit.Enter(t.Context(), c.job)
					require.NoError(t, err)
					require.Equal(t, wait.SubmitNow, entry.Decision)
				}
				rdb, err := redisclient.New(url)
				require.NoError(t, err)
				defer func() { _ = rdb.Close() }()
				keys, err := rdb.Keys(t.Context(), prefix+"*").Result()
				require.NoError(t, err)
				for _, k := range keys {
					require.NoError(t, rdb.Del(t.Context(), k).Err())
				}
				fresh, _ := open(t, url, cfg) // which knows nothing
				_, err = fresh.Accept(t.Context(), header("other"), "print")
				require.NoError(t, err)
				if c.restored {
					_, _, err = fresh.Restore(t.Context(), wait.Lost{Header: header("acme")})
					require.NoError(t, err)
				}
				clock.advance(c.later)
				_, err = fresh.Accept(t.Context(), c.job, "print")
				require.NoError(t, err)
				if c.restored {
					submit = fresh
					_, err := fresh.AdmitNext(t.Context(), 10, 10, time.Minute)
					require.NoError(t, err)
				}
				entry, err := submit.Enter(t.Context(), c.job)
				require.NoError(t, err)
				require.Equal(t, c.want, entry.Decision)
				require.Equal(t, c.want == wait.FindFirst, entry.Record.AfterLoss)
			})
		})
	}
}
