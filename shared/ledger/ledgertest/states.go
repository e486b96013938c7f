package ledgertest

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

func life(t *testing.T, l ledger.Ledger) {
	require.NoError(t, l.Ping(t.Context()))
	h := Header("default")
	h.RetryOf = job.NewID()
	e := Life(t, h)

	for range 2 { // every event arrives twice
		apply(t, l, e.Requested)
	}
	j := get(t, l, h)
	require.Equal(t, job.Job{
		JobID: h.JobID, TenantID: "default", JobType: job.Type, Status: job.Queued, Ticker: "DAX",
		Parameters: h.Parameters, RetryOf: h.RetryOf, CreatedAt: Start, Results: []job.Row{},
	}, j)

	apply(t, l, e.Submitted)
	apply(t, l, e.Submitted)
	j = get(t, l, h)
	started := Start.Add(time.Second)
	require.Equal(t, job.Running, j.Status)
	require.Equal(t, &started, j.StartedAt)
	require.Equal(t, 1, j.Attempts)
	require.Equal(t, "t-1", j.TradingJobID)

	apply(t, l, e.Again)
	j = get(t, l, h)
	require.Equal(t, 2, j.Attempts)
	require.Equal(t, "t-2", j.TradingJobID)
	require.Equal(t, &started, j.StartedAt)

	f := finish(t, l, e.Completed, outcome(Rows(12)))
	require.True(t, f.First)
	again := finish(t, l, e.Completed, ledger.Outcome{})
	require.False(t, again.First)
	require.Equal(t, f.Job, again.Job)
	j = get(t, l, h)
	require.Equal(t, f.Job, j)
	ended, seconds := Start.Add(90*time.Second), 90.0
	require.Equal(t, job.Completed, j.Status)
	require.Equal(t, 100, j.Progress)
	require.Equal(t, "run-1", j.SweepRunID)
	require.Equal(t, &ended, j.CompletedAt)
	require.Equal(t, &seconds, j.DurationSeconds)
	require.Equal(t, &job.Metrics{Combinations: 12, BestScore: 0.11, ExecutionSeconds: 80}, j.Metrics)
	require.Len(t, j.Results, ledger.BestRows)
	require.Equal(t, 0.11, j.Results[0].Score)
	require.Equal(t, ledger.Clean(Rows(12)[11]), j.Results[0])

	apply(t, l, Notified(t, h, "slack"), Notified(t, h, "slack"), Notified(t, h, "email"))
	require.Equal(t, []string{
		event.SweepRequested, event.SweepSubmitted, event.SweepSubmitted, event.SweepCompleted, event.JobCompleted,
		event.JobNotified, event.JobNotified,
	}, timeline(t, l, h))
	require.Equal(t, f.Job, get(t, l, h))
	require.Len(t, rowsOf(t, l, h, ledger.ByScore), 12)

	events, err := l.Timeline(t.Context(), "default", h.JobID)
	require.NoError(t, err)
	require.Equal(t, h.JobID+"/submitted/2", events[2].ID)
	require.Equal(t, 2, events[2].Attempt)
	require.Equal(t, Start.Add(5*time.Second), events[2].Time)
	require.Equal(t, "t-2", events[2].Data["trading_job_id"])
}

func anyOrder(t *testing.T, l ledger.Ledger) {
	random := rand.New(rand.NewPCG(1, 2))
	var want job.Job
	for round := range 30 {
		h := Header("default")
		e := Life(t, h)
		events := []cloudevents.Event{e.Requested, e.Submitted, e.Again, e.Completed, Notified(t, h, "log"), e.Requested, e.Submitted, e.Completed}
		if round > 0 {
			random.Shuffle(len(events), func(a, b int) { events[a], events[b] = events[b], events[a] })
		}
		for _, x := range events {
			if x.Type() == event.SweepCompleted {
				finish(t, l, x, outcome(Rows(3)))
			} else {
				apply(t, l, x)
			}
		}
		got := get(t, l, h)
		got.JobID = ""
		if round == 0 {
			want = got
		}
		require.Equal(t, want, got)
		require.Len(t, rowsOf(t, l, h, ledger.ByScore), 3)
		require.Len(t, timeline(t, l, h), 6)
	}
}

func batches(t *testing.T, l ledger.Ledger) {
	a, b := Header("a"), Header("b")
	ea, eb := Life(t, a), Life(t, b)
	apply(t, l)
	apply(t, l, eb.Failed, ea.Again, ea.Submitted, eb.Requested, ea.Submitted, ea.Requested, eb.Submitted)
	j := get(t, l, a)
	require.Equal(t, job.Running, j.Status)
	require.Equal(t, 2, j.Attempts)
	require.Equal(t, "t-2", j.TradingJobID)
	require.Equal(t, Start.Add(time.Second), *j.StartedAt)
	require.Len(t, timeline(t, l, a), 3)
	j = get(t, l, b)
	require.Equal(t, job.Failed, j.Status)
	require.Equal(t, job.TimedOut, j.ErrorCode)
	require.Len(t, timeline(t, l, b), 3)
}

func failure(t *testing.T, l ledger.Ledger) {
	h := Header("default")
	e := Life(t, h)
	f := finish(t, l, e.Failed, ledger.Outcome{}) // the first event that is seen of this job
	require.True(t, f.First)
	require.Equal(t, job.Failed, f.Job.Status)
	require.Equal(t, job.TimedOut, f.Job.ErrorCode)
	require.Equal(t, "no result", f.Job.ErrorMessage)
	require.Equal(t, 0, f.Job.Progress)
	require.Nil(t, f.Job.Metrics)
	require.Equal(t, 91.0, *f.Job.DurationSeconds)
	require.Equal(t, Start.Add(5*time.Second), *f.Job.StartedAt, "as the end itself tells")
	require.Equal(t, 2, f.Job.Attempts)
	apply(t, l, e.Requested, e.Submitted)
	require.Equal(t, job.Failed, get(t, l, h).Status)

	// The same by Apply.
	h = Header("default")
	apply(t, l, Life(t, h).Requested)
	apply(t, l, Life(t, h).Failed)
	j := get(t, l, h)
	require.Equal(t, job.TimedOut, j.ErrorCode)
	f = finish(t, l, Life(t, h).Failed, ledger.Outcome{})
	require.False(t, f.First)
	require.Equal(t, []string{event.SweepRequested, event.SweepFailed, event.JobFailed}, timeline(t, l, h))
}

func failedFetch(t *testing.T, l ledger.Ledger) {
	h := Header("default")
	e := Life(t, h)
	f := finish(t, l, e.Completed, ledger.Outcome{Rows: Rows(3), Failure: &ledger.Failure{Code: job.SweepFailed, Message: "404"}})
	require.True(t, f.First)
	require.Equal(t, job.Failed, f.Job.Status)
	require.Equal(t, job.SweepFailed, f.Job.ErrorCode)
	require.Equal(t, "run-1", f.Job.SweepRunID)
	require.Empty(t, rowsOf(t, l, h, ledger.ByScore))
	require.Equal(t, []string{event.SweepCompleted, event.JobFailed}, timeline(t, l, h))
}

func firstEndWins(t *testing.T, l ledger.Ledger) {
	h := Header("default")
	e := Life(t, h)
	done := finish(t, l, e.Completed, outcome(Rows(2)))
	second := finish(t, l, e.Failed, ledger.Outcome{})
	require.False(t, second.First)
	require.Equal(t, done.Job, second.Job)
	apply(t, l, e.Failed)
	require.Equal(t, done.Job, get(t, l, h))

	h = Header("default")
	e = Life(t, h)
	failed := finish(t, l, e.Failed, ledger.Outcome{})
	second = finish(t, l, e.Completed, outcome(Rows(2)))
	require.False(t, second.First)
	require.Equal(t, job.Failed, second.Job.Status)
	require.Equal(t, failed.Job.ErrorCode, get(t, l, h).ErrorCode)
	require.Empty(t, rowsOf(t, l, h, ledger.ByScore))
}

func concurrentEnds(t *testing.T, l ledger.Ledger) {
	h := Header("default")
	e := Life(t, h)
	var first atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			x, o := e.Completed, outcome(Rows(50))
			if i%2 == 1 {
				x, o = e.Failed, ledger.Outcome{}
			}
			f, err := l.Finish(t.Context(), x, o)
			if err == nil && f.First {
				first.Add(1)
			}
			if err != nil || !f.Job.Status.Terminal() {
				t.Errorf("finish: %v, job is %s", err, f.Job.Status)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, first.Load())
	rows := rowsOf(t, l, h, ledger.ByScore)
	if get(t, l, h).Status == job.Completed {
		require.Len(t, rows, 50)
	} else {
		require.Empty(t, rows)
	}
	require.Len(t, timeline(t, l, h), 3)
}

func late(t *testing.T, l ledger.Ledger) {
	h := Header("default")
	e := Life(t, h)
	failed, err := event.NewFailed(event.Failed{Header: h, ErrorCode: job.Cancelled, ErrorMessage: "cancelled", FailedAt: Start, Via: event.ViaOwner, Late: true})
	require.NoError(t, err)
	completed, err := event.NewCompleted(event.Completed{Header: h, SweepRunID: "run-9", CompletedAt: Start, Via: event.ViaPoll, Late: true})
	require.NoError(t, err)
	apply(t, l, failed, completed)
	j := get(t, l, h)
	require.Equal(t, job.Queued, j.Status)
	require.Empty(t, j.SweepRunID)
	require.Empty(t, j.ErrorCode)
	require.Len(t, timeline(t, l, h), 2)
	_, err = l.Finish(t.Context(), completed, ledger.Outcome{})
	require.ErrorIs(t, err, ledger.ErrUnreadable)
	require.True(t, finish(t, l, e.Completed, outcome(Rows(1))).First)
}

func recovery(t *testing.T, l ledger.Ledger) {
	var open []job.Header
	for i := range 3 {
		h := Header([]string{"a", "b", "a"}[i])
		h.CreatedAt = Start.Add(time.Duration(i) * time.Second)
		open = append(open, h)
	}
	done, failed, told := Header("a"), Header("b"), Header("c")
	failed.CreatedAt = Start.Add(time.Minute)
	apply(t, l, Life(t, open[2]).Requested, Life(t, open[0]).Requested, Life(t, open[1]).Submitted, Life(t, told).Failed, Notified(t, told, "log"))
	finish(t, l, Life(t, done).Completed, outcome(Rows(2)))
	finish(t, l, Life(t, failed).Failed, ledger.Outcome{})

	headers, err := l.Unfinished(t.Context())
	require.NoError(t, err)
	require.Equal(t, open, headers)
	jobs, err := l.Unannounced(t.Context())
	require.NoError(t, err)
	require.Len(t, jobs, 2)
	require.Equal(t, get(t, l, done), jobs[0])
	require.Equal(t, get(t, l, failed), jobs[1])
	apply(t, l, Notified(t, done, "slack"), Notified(t, failed, "log"))
	jobs, err = l.Unannounced(t.Context())
	require.NoError(t, err)
	require.Empty(t, jobs)
}

func concurrentBatches(t *testing.T, l ledger.Ledger) {
	headers := make([]job.Header, 20)
	for i := range headers {
		headers[i] = Header("default")
	}
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			var events []cloudevents.Event
			for i := range headers {
				e := Life(t, headers[(i*7+w*3)%len(headers)])
				events = append(events, e.Submitted, e.Requested, e.Again)
			}
			if err := l.Apply(t.Context(), events...); err != nil {
				t.Errorf("apply: %v", err)
			}
		})
	}
	wg.Wait()
	for _, h := range headers {
		require.Equal(t, 2, get(t, l, h).Attempts)
		require.Len(t, timeline(t, l, h), 3)
	}
}
