package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/store"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/jobstore/sqlite"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
)

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// lines is a log that tests can read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) all(t *testing.T) (out []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		out = append(out, m)
	}
	return out
}

type bundle struct {
	*store.Function
	jobStore *sqlite.Store
	log      *lines
	header   job.Header
	events   jobstoretest.Events
	// collected tells that the job's rows are stored.
	collected cloudevents.Event
}

func setup(t *testing.T) bundle {
	t.Helper()
	l, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "jobs.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	b := bundle{jobStore: l, log: &lines{}, header: jobstoretest.Header("acme")}
	b.events = jobstoretest.Life(t, b.header)
	for _, e := range []*cloudevents.Event{&b.events.Requested, &b.events.Submitted, &b.events.Completed, &b.events.Failed} {
		e.SetExtension(event.ExtTraceParent, traceParent)
	}
	b.collected = jobstoretest.Collected(t, b.header, jobstoretest.Rows(25))
	b.collected.SetExtension(event.ExtTraceParent, traceParent)
	b.Function, err = store.New(l, telemetry.NewLogger(b.log, slog.LevelInfo))
	require.NoError(t, err)
	return b
}

func (b bundle) job(t *testing.T) job.Job {
	t.Helper()
	j, err := b.jobStore.Job(t.Context(), b.header.TenantID, b.header.JobID)
	require.NoError(t, err)
	return j
}

// give hands an event in twice and wants the same answer both times.
func (b bundle) give(t *testing.T, e cloudevents.Event) *cloudevents.Event {
	t.Helper()
	first, err := b.Handle(t.Context(), e)
	require.NoError(t, err)
	second, err := b.Handle(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, first, second)
	return first
}

func TestACompletedJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Nil(t, b.give(t, b.events.Requested))
	require.Equal(t, job.Queued, b.job(t).Status)
	require.Nil(t, b.give(t, b.events.Submitted))
	require.Equal(t, job.Running, b.job(t).Status)

	require.Nil(t, b.give(t, b.events.Completed), "the rows are still to come")
	require.Equal(t, job.Running, b.job(t).Status)
	reply := b.give(t, b.collected)
	require.Equal(t, event.JobCompleted, reply.Type())
	require.Equal(t, b.header.JobID+"/job", reply.ID())
	require.Equal(t, traceParent, reply.Extensions()[event.ExtTraceParent])
	d, err := event.Data[event.Finished](*reply)
	require.NoError(t, err)
	require.Equal(t, b.job(t), d.Job)
	require.Equal(t, job.Completed, d.Job.Status)
	require.Equal(t, &job.Metrics{Combinations: 25, BestScore: 0.24, ExecutionSeconds: 80}, d.Job.Metrics)
	require.Len(t, d.Job.Results, 10)

	require.Nil(t, b.give(t, jobstoretest.Notified(t, b.header, "log")))
	log := b.log.all(t)
	require.Len(t, log, 1)
	for key, want := range map[string]any{
		"msg": "Job completed", "job_id": b.header.JobID, "job_type": job.Type, "tenant_id": "acme", "ticker": "DAX", "status": "completed",
		"duration_seconds": 90.0, "sweep_run_id": "run-1", "started_at": "2026-03-01T12:00:01.123456Z", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
	} {
		require.Equal(t, want, log[0][key], key)
	}
}

func TestAFailedJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reply := b.give(t, b.events.Failed)
	require.Equal(t, event.JobFailed, reply.Type())
	require.Equal(t, traceParent, reply.Extensions()[event.ExtTraceParent])
	// A second end gets the first one told again.
	again := b.give(t, b.collected)
	require.Equal(t, event.JobFailed, again.Type())
	require.Equal(t, reply.ID(), again.ID())
	log := b.log.all(t)
	require.Len(t, log, 1)
	require.Equal(t, "Job failed", log[0]["msg"])
	require.Equal(t, "failed", log[0]["status"])
	require.Equal(t, "timed_out", log[0]["error_code"])
}

func TestALateEndTellsNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	late, err := event.NewCompleted(event.Completed{Header: b.header, SweepRunID: "run-1", CompletedAt: jobstoretest.Start, Via: event.ViaPoll, Late: true})
	require.NoError(t, err)
	require.Nil(t, b.give(t, late))
	require.Equal(t, job.Queued, b.job(t).Status)
}

func TestADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	l, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "jobs.db"))
	require.NoError(t, err)
	f, err := store.New(l, nil)
	require.NoError(t, err)
	ready, err := f.Ready(t.Context())
	require.NoError(t, err)
	require.True(t, ready)
	require.NoError(t, l.Close())
	for _, e := range []cloudevents.Event{setup(t).events.Requested, setup(t).collected, setup(t).events.Failed} {
		_, err := f.Handle(t.Context(), e)
		require.Error(t, err)
		require.False(t, rejected(err), "%s was given up", e.Type())
	}
	ready, err = f.Ready(t.Context())
	require.False(t, ready)
	require.ErrorContains(t, err, "PostgreSQL")
}

func rejected(err error) bool {
	var r *cehttp.Result
	return protocol.ResultAs(err, &r) && r.StatusCode == http.StatusUnprocessableEntity
}

func TestUnreadableEventsAreRejected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	foreign := b.events.Requested.Clone()
	foreign.SetType("com.example.x")
	bad := b.events.Completed.Clone()
	require.NoError(t, bad.SetData("application/json", []byte(`[]`)))
	other := b.events.Failed.Clone()
	other.SetID(job.NewID() + "/failed")
	for _, e := range []cloudevents.Event{foreign, bad, other, {}} {
		_, err := b.Handle(t.Context(), e)
		require.True(t, rejected(err), "%v", err)
		out := b.HandleBatch(t.Context(), []cloudevents.Event{b.events.Requested, e})
		require.True(t, rejected(out[1].Err), "%v", out[1].Err)
		require.NoError(t, out[0].Err, "it costs nobody else")
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	b, other := setup(t), setup(t)
	batch := []cloudevents.Event{other.events.Failed, b.collected, b.events.Requested, other.events.Requested, b.events.Submitted}
	for range 2 {
		out := b.HandleBatch(t.Context(), batch)
		require.Len(t, out, len(batch))
		for _, o := range out {
			require.NoError(t, o.Err)
		}
		require.Equal(t, event.JobFailed, out[0].Reply.Type())
		require.Equal(t, event.JobCompleted, out[1].Reply.Type())
	}
	require.Len(t, b.log.all(t), 2)
}

func TestTheSameEndManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := b.Handle(t.Context(), b.collected); err != nil {
				t.Errorf("handle: %v", err)
			}
		})
	}
	wg.Wait()
	require.Len(t, b.log.all(t), 1)
	require.Equal(t, 25, b.job(t).Metrics.Combinations)
}

// broken fails every event with one error.
type broken struct{ err error }

func (b broken) Apply(_ context.Context, events ...cloudevents.Event) []jobstore.Applied {
	out := make([]jobstore.Applied, len(events))
	for i := range out {
		out[i].Err = fmt.Errorf("write: %w", b.err)
	}
	return out
}
func (b broken) Ping(context.Context) error { return b.err }

func TestErrorsSayWhatTheBrokerIsToDo(t *testing.T) {
	t.Parallel()
	handle := func(err error) error {
		f, failed := store.New(broken{err}, nil)
		require.NoError(t, failed)
		_, err = f.Handle(t.Context(), setup(t).events.Requested)
		return err
	}
	var later *sink.Unavailable
	require.ErrorAs(t, handle(jobstore.ErrUnavailable), &later)
	soon := later.RetryAfter
	require.ErrorAs(t, handle(jobstore.ErrUnusable), &later)
	require.Greater(t, later.RetryAfter, soon, "a person takes longer than a restart")
	require.True(t, rejected(handle(jobstore.ErrUnreadable)))
	plain := handle(io.ErrClosedPipe)
	require.ErrorIs(t, plain, io.ErrClosedPipe)
	require.NotErrorAs(t, plain, &later)
	require.False(t, rejected(plain))
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := store.New(nil, nil)
	require.Error(t, err)
}

func TestFromEnv(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://u:secret@127.0.0.1:1/x")
	f, err := store.FromEnv(t.Context())
	require.NoError(t, err, "a database that is down keeps the function from starting")
	require.NoError(t, f.Stop(t.Context()))
	t.Setenv("DATABASE_URL", "")
	_, err = store.FromEnv(t.Context())
	require.ErrorContains(t, err, "DATABASE_URL")
}
