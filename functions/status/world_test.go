package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/status"
	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/wait"
)

var (
	errGone = errors.New("dial tcp 10.0.0.7: refused")
	created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sweep   = job.Sweep{Ticker: "DAX", FastRange: [2]int{10, 50}, SlowRange: [2]int{20, 200}, Step: 5, MinTrades: 50, StrategyType: "SMA"}
)

// world is everything that status stands on, in memory.
type world struct {
	mu     sync.Mutex
	jobs   map[string]job.Job
	events map[string][]job.TimelineEvent
	rows   []job.Row
	rowErr error
	query  jobstore.Query
	// rowQuery is the last one that was asked.
	rowQuery jobstore.RowQuery
	records  map[string]wait.Record
	changes  chan wait.Record
	letters  []broker.DeadLetter
	acts     []string
	taken    []enqueue.Request
	takeErr  error
	// broken names what does not answer.
	broken map[string]bool
}

func (w *world) fails(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken[name] {
		return errGone
	}
	return nil
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

type books struct{ *world }

func (b books) Job(_ context.Context, owner, id string) (job.Job, error) {
	if err := b.fails("job store"); err != nil {
		return job.Job{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	j, ok := b.jobs[id]
	if !ok || j.TenantID != owner {
		return job.Job{}, jobstore.ErrNotFound
	}
	return j, nil
}

func (b books) Jobs(_ context.Context, owner string, q jobstore.Query) (jobstore.Page, error) {
	if err := b.fails("job store"); err != nil {
		return jobstore.Page{}, err
	}
	if q.Cursor == "bad" {
		return jobstore.Page{}, jobstore.ErrCursor
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.query = q
	var page jobstore.Page
	for _, j := range b.jobs {
		if j.TenantID == owner {
			page.Jobs, page.Next = append(page.Jobs, j), "next"
		}
	}
	return page, nil
}

func (b books) Timeline(_ context.Context, owner, id string) ([]job.TimelineEvent, error) {
	if err := b.fails("job store"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if j, ok := b.jobs[id]; !ok || j.TenantID != owner {
		return nil, jobstore.ErrNotFound
	}
	return b.events[id], nil
}

func (b books) Results(context.Context, string, string, jobstore.Order) iter.Seq2[job.Row, error] {
	return func(yield func(job.Row, error) bool) {
		for _, r := range b.rows {
			if !yield(r, nil) {
				return
			}
		}
		if b.rowErr != nil {
			yield(job.Row{}, b.rowErr)
		}
	}
}

func (b books) Rows(_ context.Context, _, _ string, q jobstore.RowQuery) ([]job.Row, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rowQuery = q
	limit, offset := q.Window()
	offset = min(offset, len(b.rows))
	return b.rows[offset:min(offset+limit, len(b.rows))], b.rowErr
}

func (b books) Counts(_ context.Context, owner string, _ jobstore.Query) (map[job.State]int, error) {
	if err := b.fails("job store"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := map[job.State]int{}
	for _, j := range b.jobs {
		if j.TenantID == owner {
			counts[j.Status]++
		}
	}
	return counts, nil
}

func (b books) Ping(context.Context) error { return b.fails("job store") }

type records struct{ *world }

func (r records) Get(_ context.Context, id string) (wait.Record, error) {
	if err := r.fails("redis"); err != nil {
		return wait.Record{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, ok := r.records[id]
	if !ok {
		return wait.Record{}, wait.ErrUnknown
	}
	return rec, nil
}

func (r records) Watch(context.Context, string) (<-chan wait.Record, error) {
	return r.changes, r.fails("redis")
}

func (r records) Cancel(ctx context.Context, id string) (wait.State, error) {
	rec, err := r.Get(ctx, id)
	if err != nil || rec.State.Ended() {
		return rec.State, err
	}
	rec.State, rec.ErrorCode = wait.Failed, job.Cancelled
	r.set(func() {
		r.records[id] = rec
		r.acts = append(r.acts, "cancel "+id)
	})
	return rec.State, nil
}

func (r records) Ping(context.Context) error { return r.fails("redis") }

func (w *world) Enqueue(_ context.Context, r enqueue.Request) (enqueue.Accepted, error) {
	if err := w.fails("sink"); err != nil {
		return enqueue.Accepted{}, err
	}
	if w.takeErr != nil {
		return enqueue.Accepted{}, w.takeErr
	}
	w.set(func() { w.taken = append(w.taken, r) })
	return enqueue.Accepted{Header: job.Header{JobID: job.NewID(), TenantID: r.Tenant, Parameters: r.Sweep, RetryOf: r.RetryOf, CreatedAt: created}}, nil
}

type mail struct{ *world }

func (m mail) DeadLetters(_ context.Context, q broker.DeadLetterQuery) ([]broker.DeadLetter, error) {
	if err := m.fails("redis"); err != nil {
		return nil, err
	}
	var page []broker.DeadLetter
	for _, l := range m.letters {
		if (q.Before == "" || l.Position < q.Before) && len(page) < q.Limit {
			page = append(page, l)
		}
	}
	return page, nil
}

func (m mail) DeadLetter(_ context.Context, id string) (broker.DeadLetter, error) {
	for _, l := range m.letters {
		if l.ID == id {
			return l, nil
		}
	}
	return broker.DeadLetter{}, broker.ErrNotFound
}

func (m mail) Redrive(_ context.Context, id string) error {
	m.acts = append(m.acts, "redrive "+id)
	return nil
}

func (m mail) Discard(_ context.Context, id string) error {
	m.acts = append(m.acts, "discard "+id)
	return nil
}

func setup(t *testing.T, keys string) (*world, *status.Function, http.Handler) {
	t.Helper()
	w := &world{
		jobs: map[string]job.Job{}, events: map[string][]job.TimelineEvent{}, records: map[string]wait.Record{},
		broken: map[string]bool{}, changes: make(chan wait.Record),
	}
	k, err := auth.New(auth.Config{Keys: keys})
	require.NoError(t, err)
	f, err := status.New(status.Config{Heartbeat: 20 * time.Millisecond, MaxStreams: 2, SessionSecret: "secret"}, status.Deps{
		Jobs: books{w}, Waits: records{w}, Cancel: records{w}, Enqueuer: w, Letters: mail{w}, Keys: k,
	})
	require.NoError(t, err)
	h, err := function.Handler("status", f, prometheus.NewRegistry())
	require.NoError(t, err)
	return w, f, h
}

func (w *world) stored(owner string, s job.State) job.Job {
	j := job.Job{
		JobID: job.NewID(), TenantID: owner, JobType: job.Type, Status: s, Ticker: "DAX", Parameters: sweep,
		CreatedAt: created, Results: []job.Row{},
	}
	if s == job.Failed {
		j.ErrorCode, j.ErrorMessage = job.TimedOut, "no result within an hour"
	}
	w.set(func() { w.jobs[j.JobID] = j })
	return j
}

func (w *world) recorded(owner string) job.Header {
	h := job.Header{JobID: job.NewID(), TenantID: owner, JobType: job.Type, Parameters: sweep, CreatedAt: created}
	w.set(func() { w.records[h.JobID] = wait.Record{Header: h} })
	return h
}

func call(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v), w.Body)
	return v
}

// running and ended are wait records of a job on its way.
func running(h job.Header, progress int) wait.Record {
	return wait.Record{Header: h, State: wait.Waiting, Progress: progress}
}

func ended(h job.Header) wait.Record {
	return wait.Record{Header: h, State: wait.Completed, Progress: 100}
}
