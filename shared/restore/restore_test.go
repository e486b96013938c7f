package restore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/restore"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/wait"
)

func TestMain(m *testing.M) { servertest.Main(m) }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// book is what a job store knows.
type book struct {
	jobs map[string]job.Job
	err  error
}

func (b *book) Lookup(_ context.Context, ids []string) (out []job.Job, err error) {
	for _, id := range ids {
		if j, ok := b.jobs[id]; ok {
			out = append(out, j)
		}
	}
	return out, b.err
}

type outbox struct {
	mu   sync.Mutex
	sent []cloudevents.Event
	err  error
}

func (o *outbox) Send(_ context.Context, events ...cloudevents.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	o.sent = append(o.sent, events...)
	return nil
}

type bundle struct {
	*restore.Jobs
	book  *book
	out   *outbox
	waits *wait.Waits
}

func setup(t *testing.T) bundle {
	t.Helper()
	w, err := wait.Open(t.Context(), wait.Config{RedisURL: servertest.Miniredis(t), MaxConcurrent: 5}, wait.WithClock(func() time.Time { return start.Add(time.Minute) }))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	b := bundle{book: &book{jobs: map[string]job.Job{}}, out: &outbox{}, waits: w}
	b.Jobs, err = restore.New(b.book, w, b.out)
	require.NoError(t, err)
	return b
}

func (b bundle) add(status job.State, change func(*job.Job)) string {
	j := job.Job{
		JobID: job.NewID(), TenantID: "acme", JobType: job.Type, Status: status, CreatedAt: start,
		Parameters: job.Sweep{Ticker: "DAX", FastRange: [2]int{5, 20}, SlowRange: [2]int{20, 60}, Step: 5, MinTrades: 10, StrategyType: job.SMA},
	}
	if change != nil {
		change(&j)
	}
	b.book.jobs[j.JobID] = j
	return j.JobID
}

func running(j *job.Job) {
	at := start.Add(10 * time.Second)
	j.TradingJobID, j.StartedAt, j.Attempts = "t-1", &at, 1
}

func TestFindBringsOpenJobsBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	queued, sweeping := b.add(job.Queued, nil), b.add(job.Running, running)
	called := b.add(job.Queued, func(j *job.Job) { j.NotifyURL = "https://hooks.example.com/a" })
	_, err := b.Find(t.Context(), called)
	require.NoError(t, err)
	back, err := b.waits.Get(t.Context(), called)
	require.NoError(t, err)
	require.Equal(t, "https://hooks.example.com/a", back.Header.NotifyURL)
	for id, want := range map[string]wait.State{queued: wait.Parked, sweeping: wait.Waiting} {
		var wg sync.WaitGroup
		for range 8 { // a callback, its repeat and the supervisor
			wg.Go(func() {
				j, err := b.Find(t.Context(), id)
				if err != nil || j.JobID != id {
					t.Errorf("find: %v, %v", j, err)
				}
			})
		}
		wg.Wait()
		r, err := b.waits.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, r.State)
		require.Equal(t, "acme", r.Header.TenantID)
	}
	require.Empty(t, b.out.sent, "nothing has happened that is to be told")

	res, err := b.waits.Resolve(t.Context(), sweeping, wait.End{RunID: "run", TradingJobID: "t-1", Via: event.ViaCallback})
	require.NoError(t, err)
	require.True(t, res.Won, "the callback that found no record")
}

func TestFindKnowsEndedAndUnknownJobs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ended := b.add(job.Failed, nil)
	j, err := b.Find(t.Context(), ended)
	require.NoError(t, err)
	require.Equal(t, job.Failed, j.Status)
	_, err = b.waits.Get(t.Context(), ended)
	require.ErrorIs(t, err, wait.ErrUnknown, "an ended job needs no record")
	_, err = b.Find(t.Context(), job.NewID())
	require.ErrorIs(t, err, jobstore.ErrNotFound)
	b.book.err = errors.New("away")
	_, err = b.Find(t.Context(), ended)
	require.ErrorIs(t, err, b.book.err)
	require.NotErrorIs(t, err, jobstore.ErrNotFound, "who cannot look does not know")
}

// The sweep is over and the job store knows its results by name; only their event
// got lost. It must not be submitted again, even by an API that forgot it.
func TestAKnownRunEndsTheWait(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.add(job.Running, func(j *job.Job) { running(j); j.SweepRunID = "run-1" })
	b.out.err = errors.New("broker away")
	_, err := b.Find(t.Context(), id)
	require.ErrorIs(t, err, b.out.err)
	r, err := b.waits.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, wait.Completed, r.State)
	require.True(t, r.Actions.Has(wait.ActionEvent), "the supervisor sends it in a moment")

	b.out.err = nil
	early := b.add(job.Running, func(j *job.Job) { j.SweepRunID = "run-2" }) // its callback came before the API's answer
	made, err := b.Put(t.Context(), b.book.jobs[early])
	require.NoError(t, err)
	require.True(t, made)
	require.Len(t, b.out.sent, 1)
	e := b.out.sent[0]
	require.Equal(t, early+"/completed", e.ID())
	d, err := event.Data[event.Completed](e)
	require.NoError(t, err)
	require.Equal(t, "run-2", d.SweepRunID)
	require.Equal(t, event.ViaJobStore, d.Via)
	made, err = b.Put(t.Context(), b.book.jobs[early])
	require.NoError(t, err)
	require.False(t, made)
	require.Len(t, b.out.sent, 1)
}

func TestNewRefusesMissingDependencies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, deps := range []struct {
		l restore.JobStore
		w restore.Waits
		s wait.Sender
	}{{nil, b.waits, b.out}, {b.book, nil, b.out}, {b.book, b.waits, nil}} {
		_, err := restore.New(deps.l, deps.w, deps.s)
		require.Error(t, err)
	}
}
