package jobstoretest

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

func life(t *testing.T, l jobstore.Store) {
	require.NoError(t, l.Ping(t.Context()))
	h := Header("default")
	h.RetryOf, h.GroupID, h.Labels, h.NotifyURL = job.NewID(), job.NewID(), []string{"desk=eu", "weekly"}, "https://hooks.example.com/a?b=c&d"
	e := Life(t, h)

	for range 2 { // every event arrives twice
		apply(t, l, e.Requested)
	}
	j := get(t, l, h)
	require.Equal(t, job.Job{
		JobID: h.JobID, TenantID: "default", JobType: job.Type, Status: job.Queued, Ticker: "DAX",
		Parameters: h.Parameters, RetryOf: h.RetryOf, GroupID: h.GroupID, Labels: h.Labels, NotifyURL: h.NotifyURL, CreatedAt: Start, Results: []job.Row{},
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

	apply(t, l, e.Completed)
	before := get(t, l, h)
	require.Equal(t, job.Running, before.Status)
	require.Equal(t, Start.Add(time.Second), *before.StartedAt)
	f := Complete(t, l, h, Rows(12))
	require.True(t, f.First)
	again := finish(t, l, Collected(t, h, Rows(12)))
	require.False(t, again.First)
	require.Equal(t, f.Job, again.Job)
	j = get(t, l, h)
	require.Equal(t, *f.Job, j)
	found, err := l.Lookup(t.Context(), []string{h.JobID})
	require.NoError(t, err)
	require.Equal(t, h, found[0].Header())
	ended, seconds := Start.Add(90*time.Second), 90.0
	require.Equal(t, job.Completed, j.Status)
	require.Equal(t, 100, j.Progress)
	require.Equal(t, "run-1", j.SweepRunID)
	require.Equal(t, &ended, j.CompletedAt)
	require.Equal(t, &seconds, j.DurationSeconds)
	require.Equal(t, &job.Metrics{Combinations: 12, BestScore: 0.11, ExecutionSeconds: 80}, j.Metrics)
	require.Len(t, j.Results, jobstore.BestRows)
	require.Equal(t, 0.11, j.Results[0].Score)
	require.Equal(t, jobstore.Clean(Rows(12)[11]), j.Results[0])

	givenUp, err := event.NewNotified(event.Notified{Header: h, Channel: "url", NotifiedAt: Start.Add(time.Hour), Error: "notify_url answered 404"})
	require.NoError(t, err)
	apply(t, l, Notified(t, h, "slack"), Notified(t, h, "slack"), Notified(t, h, "email"), givenUp)
	require.Equal(t, []string{
		event.SweepRequested, event.SweepSubmitted, event.SweepSubmitted, event.SweepCompleted, event.SweepCollected, event.JobCompleted,
		event.JobNotified, event.JobNotified, event.JobNotified,
	}, timeline(t, l, h))
	require.Equal(t, *f.Job, get(t, l, h))
	require.Len(t, rowsOf(t, l, h, jobstore.ByScore), 12)

	events, err := l.Timeline(t.Context(), "default", h.JobID)
	require.NoError(t, err)
	require.Equal(t, h.JobID+"/submitted/2", events[2].ID)
	require.Equal(t, []string{"", "notify_url answered 404"}, []string{events[7].Error, events[8].Error})
	require.Equal(t, 2, events[2].Attempt)
	require.Equal(t, Start.Add(5*time.Second), events[2].Time)
	require.Equal(t, "t-2", events[2].Data["trading_job_id"])
	require.Nil(t, events[4].Data["best"], "the best rows stand with the job")
	told := map[string]any{}
	raw, err := json.Marshal(event.Finished{Job: *f.Job})
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &told))
	require.Equal(t, told, events[5].Data, "the announcement's data is that of the event")
}

func anyOrder(t *testing.T, l jobstore.Store) {
	random := rand.New(rand.NewPCG(1, 2))
	var want job.Job
	for round := range 30 {
		h := Header("default")
		e := Life(t, h)
		end := Collected(t, h, Rows(3))
		events := []cloudevents.Event{e.Requested, e.Submitted, e.Again, e.Completed, end, Notified(t, h, "log"), e.Requested, e.Submitted, e.Completed, end}
		if round > 0 {
			random.Shuffle(len(events), func(a, b int) { events[a], events[b] = events[b], events[a] })
		}
		for _, x := range events {
			apply(t, l, x)
		}
		got := get(t, l, h)
		got.JobID = ""
		if round == 0 {
			want = got
		}
		require.Equal(t, want, got)
		require.Len(t, timeline(t, l, h), 7)
		_, unnotified := Pending(t, l)
		require.Empty(t, unnotified, "it was notified, whatever came first")
	}
}

func batches(t *testing.T, l jobstore.Store) {
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
	require.Len(t, timeline(t, l, b), 4)
}

func failure(t *testing.T, l jobstore.Store) {
	h := Header("default")
	e := Life(t, h)
	f := finish(t, l, e.Failed) // the first event that is seen of this job
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

	require.Equal(t, []string{event.SweepRequested, event.SweepSubmitted, event.SweepFailed, event.JobFailed}, timeline(t, l, h))
	again := finish(t, l, e.Failed)
	require.False(t, again.First)
	require.Equal(t, get(t, l, h), *again.Job)
}

func failedFetch(t *testing.T, l jobstore.Store) {
	h := Header("default")
	apply(t, l, Life(t, h).Completed)
	p := page(h, Rows(3))
	p.Last, p.Total = false, 6
	_, err := l.Collect(t.Context(), p)
	require.NoError(t, err)
	require.Len(t, rowsOf(t, l, h, jobstore.ByScore), 3)
	e, err := event.NewFailed(event.Failed{Header: h, SweepRunID: "run-1", ErrorCode: job.SweepFailed, ErrorMessage: "404", FailedAt: Start.Add(time.Minute), Via: event.ViaCollect})
	require.NoError(t, err)
	f := finish(t, l, e)
	require.True(t, f.First)
	require.Equal(t, job.Failed, f.Job.Status)
	require.Equal(t, job.SweepFailed, f.Job.ErrorCode)
	require.Equal(t, "run-1", f.Job.SweepRunID)
	require.Empty(t, rowsOf(t, l, h, jobstore.ByScore), "a failed job has no rows")
	require.Equal(t, []string{event.SweepFailed, event.JobFailed, event.SweepCompleted}, timeline(t, l, h))
}

func firstEndWins(t *testing.T, l jobstore.Store) {
	h := Header("default")
	e := Life(t, h)
	done := Complete(t, l, h, Rows(2))
	second := finish(t, l, e.Failed)
	require.False(t, second.First)
	require.Equal(t, done.Job, second.Job)
	require.Equal(t, *done.Job, get(t, l, h))
	require.Len(t, rowsOf(t, l, h, jobstore.ByScore), 2)

	h = Header("default")
	e = Life(t, h)
	failed := finish(t, l, e.Failed)
	second = Complete(t, l, h, Rows(2))
	require.False(t, second.First)
	require.Equal(t, job.Failed, second.Job.Status)
	require.Equal(t, failed.Job.ErrorCode, get(t, l, h).ErrorCode)
	require.Empty(t, rowsOf(t, l, h, jobstore.ByScore))
}

// contradiction: of the ends of one batch the first in its order wins, and all
// are answered with the job as it ended.
func contradiction(t *testing.T, l jobstore.Store) {
	for _, failedFirst := range []bool{true, false} {
		h := Header("default")
		e := Life(t, h)
		events := []cloudevents.Event{e.Requested, e.Failed, Collected(t, h, Rows(2)), e.Failed}
		want := job.Failed
		if !failedFirst {
			events[1], events[2], want = events[2], events[1], job.Completed
		}
		out := l.Apply(t.Context(), events...)
		require.NoError(t, jobstore.Errors(out))
		require.Nil(t, out[0].Job)
		require.True(t, out[1].First)
		require.False(t, out[2].First)
		require.False(t, out[3].First)
		for _, a := range out[1:] {
			require.Equal(t, want, a.Job.Status)
			require.Equal(t, get(t, l, h), *a.Job)
		}
	}
}

// anySplit: however events are shuffled, doubled and cut into batches, all jobs
// come out as if each event had come once and in its order.
func anySplit(t *testing.T, l jobstore.Store) {
	random := rand.New(rand.NewPCG(5, 6))
	const jobs = 12
	headers := make([]job.Header, jobs)
	var events []cloudevents.Event
	want := map[string]job.Job{}
	for i := range headers {
		model := Header([]string{"a", "b"}[i%2])
		headers[i] = Header(model.TenantID)
		for _, h := range []job.Header{model, headers[i]} {
			e := Life(t, h)
			life := []cloudevents.Event{e.Requested, e.Submitted, e.Again, e.Completed, Collected(t, h, Rows(i)), Notified(t, h, "slack")}
			switch i % 4 {
			case 1:
				life = []cloudevents.Event{e.Requested, e.Submitted, e.Again, e.Failed, Notified(t, h, "slack")}
			case 2:
				life = life[:4]
			case 3:
				life = life[:2]
			}
			if h.JobID == model.JobID {
				for _, x := range life {
					apply(t, l, x)
				}
				j := get(t, l, h)
				j.JobID = headers[i].JobID
				want[headers[i].JobID] = j
				continue
			}
			events = append(events, life...)
			events = append(events, life...)
		}
	}
	random.Shuffle(len(events), func(a, b int) { events[a], events[b] = events[b], events[a] })
	first := map[string]int{}
	for len(events) > 0 {
		n := min(1+random.IntN(20), len(events))
		out := l.Apply(t.Context(), events[:n]...)
		require.NoError(t, jobstore.Errors(out))
		for _, a := range out {
			if a.First {
				first[a.Job.JobID]++
			}
		}
		events = events[n:]
	}
	for i, h := range headers {
		require.Equal(t, want[h.JobID], get(t, l, h))
		ended := 0
		if i%4 < 2 {
			ended = 1
		}
		require.Equal(t, ended, first[h.JobID], "each end is the first once")
	}
	open, unnotified := Pending(t, l)
	require.Len(t, open, jobs, "two of four kinds, and their models")
	require.Empty(t, unnotified)
}

func concurrentEnds(t *testing.T, l jobstore.Store) {
	h := Header("default")
	e := Life(t, h)
	end := Collected(t, h, Rows(50))
	var first atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			x := end
			if i%2 == 1 {
				x = e.Failed
			}
			a := l.Apply(context.WithoutCancel(t.Context()), x)[0]
			if a.First {
				first.Add(1)
			}
			if a.Err != nil || !a.Job.Status.Terminal() {
				t.Errorf("apply: %v, job is %v", a.Err, a.Job)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, first.Load())
	require.Len(t, timeline(t, l, h), 3)
}

func late(t *testing.T, l jobstore.Store) {
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
	require.Nil(t, l.Apply(t.Context(), failed)[0].Job, "a late end ends nothing")
	require.True(t, finish(t, l, e.Failed).First)
}

func concurrentBatches(t *testing.T, l jobstore.Store) {
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
			if err := jobstore.Errors(l.Apply(t.Context(), events...)); err != nil {
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
