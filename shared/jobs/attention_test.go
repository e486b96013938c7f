package jobs_test

import (
	"context"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/wait"
)

func TestOperatorsAreToldWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	w.Triggers = []broker.TriggerInfo{{Name: "store"}, {Name: "submit", Retries: 1, OldestAge: time.Second}}
	s := w.OperatedService(t, "acme:one,ops:two", "ops")
	ops := auth.NewContext(t.Context(), "ops")
	api := func(context.Context) error { return w.Fails("trading") }
	texts := func() (all []string) {
		for _, t := range s.Attention(ops, api) {
			all = append(all, t.Text)
		}
		return all
	}
	told := func(want ...string) {
		t.Helper()
		require.Eventually(t, func() bool { return len(texts()) == len(want) && (len(want) == 0 || texts()[0] == want[0]) }, time.Minute, time.Millisecond, "%q", texts())
		require.Equal(t, want, texts())
	}
	told()
	w.Set(func() {
		w.Counts = wait.Counts{Overdue: 2, APIFailures: 3}
		w.Triggers = []broker.TriggerInfo{
			{Name: "submit", Paused: true, Lag: 3}, {Name: "notify", Retries: 7, OldestAge: time.Minute, DeadLetters: 2}, {Name: "store", DeadLetters: 1},
		}
	})
	told("The trading API failed 3 calls in a row", "2 jobs are overdue: no supervisor handles them, or not fast enough",
		"submit is paused: 3 events wait", "notify fails: 7 events wait for another attempt", "3 dead letters")
	require.Empty(t, s.Attention(auth.NewContext(t.Context(), "acme"), api), "the broker is everybody's")
	w.Set(func() {
		w.Counts, w.Triggers = wait.Counts{}, nil
		w.Broken["trading"], w.Broken["job store"] = true, true
	})
	told("The job store does not answer: results and lists come later", "The trading API does not answer: sweeps wait")
	w.Set(func() { w.Broken = map[string]bool{"redis": true} })
	told("Redis is unavailable: no jobs are accepted")
	w.Set(func() { w.Broken = map[string]bool{} })
	told()
	require.NoError(t, s.Stop(t.Context()))
}

// A dead letter is titled by what has not happened, not by what its event says.
func TestWhatADeadLetterHasLeftUndone(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	s := w.OperatedService(t, "")
	h := job.Header{JobID: job.NewID(), TenantID: "default", JobType: job.Type, Parameters: jobstest.Sweep, CreatedAt: jobstest.Created}
	made := func(e cloudevents.Event, err error) cloudevents.Event {
		require.NoError(t, err)
		return e
	}
	done := made(event.NewFinished(job.Job{JobID: h.JobID, TenantID: "default", JobType: job.Type, Status: job.Completed, Parameters: h.Parameters, CreatedAt: jobstest.Created}))
	broken := cloudevents.New()
	broken.SetType("com.example")
	require.NoError(t, broken.SetData(cloudevents.TextPlain, []byte("{")))
	for want, l := range map[string]broker.DeadLetter{
		"Slack message about DAX not sent":          {Trigger: "notify", Event: done, Reason: `{"error":"notify slack of job x: post webhook: 404"}`},
		"Mail about DAX not sent":                   {Trigger: "notify", Event: done, Reason: "notify email of job x: refused"},
		"Slack message and mail about DAX not sent": {Trigger: "notify", Event: done, Reason: "notify slack of job x: no\nnotify email of job x: no"},
		"Message about DAX not sent":                {Trigger: "notify", Event: done},
		"Sweep of DAX not submitted":                {Trigger: "submit", Event: made(event.NewRequested(event.Requested{Header: h}))},
		"Results of DAX not fetched":                {Trigger: "collect", Event: made(event.NewCompleted(event.Completed{Header: h}))},
		"End of DAX not stored":                     {Trigger: "store", Event: made(event.NewCompleted(event.Completed{Header: h}))},
		"Progress of DAX not stored":                {Trigger: "store", Event: made(event.NewRequested(event.Requested{Header: h}))},
		"Message about a job not sent":              {Trigger: "notify", Event: broken},
		"Event not delivered to my-own":             {Trigger: "my-own", Event: broken},
	} {
		l.ID = want
		w.DeadLetters = []broker.DeadLetter{l}
		own, _, err := s.OwnDeadLetters(auth.NewContext(t.Context(), job.DefaultTenant), jobs.LetterFilter{}, 10, "")
		require.NoError(t, err)
		require.Equal(t, want, append(own, jobs.DeadLetter{})[0].Undone)
	}
}
