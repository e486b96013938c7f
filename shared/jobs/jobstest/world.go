// Package jobstest has what shared/jobs stands on in memory, for the tests of the
// functions that read jobs.
package jobstest

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/auth/authtest"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/wait"
)

var (
	ErrGone = errors.New("dial tcp 10.0.0.7: refused")
	Created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	Sweep   = job.Sweep{Ticker: "DAX", FastRange: [2]int{10, 50}, SlowRange: [2]int{20, 200}, Step: 5, MinTrades: 50, StrategyType: "SMA"}
)

// World is everything that a jobs.Service stands on, in memory.
type World struct {
	mu     sync.Mutex
	Jobs   map[string]job.Job
	Events map[string][]job.TimelineEvent
	Rows   []job.Row
	RowErr error
	Query  jobstore.Query
	// Surface is that of every job; nil for none.
	Surface []byte
	// RowQuery is the last one that was asked.
	RowQuery    jobstore.RowQuery
	Records     map[string]wait.Record
	Changes     chan wait.Record
	DeadLetters []broker.DeadLetter
	Acts        []string
	Taken       []enqueue.Request
	TakeErr     error
	// MostTaken, if it is not 0, is how many jobs are taken before FullErr is the error.
	MostTaken int
	FullErr   error
	// Tried counts the jobs that were to be taken, also in vain.
	Tried int
	taken map[string]job.Header
	// Reading, where there is one, is called before rows are read or jobs are counted;
	// its error is the read's. It may wait for ctx.
	Reading func(ctx context.Context, what string) error
	// Triggers and Counts are what a Broker says of itself.
	Triggers []broker.TriggerInfo
	Counts   wait.Counts
	// Reads counts the reads of many wait records at once.
	Reads int
	// SignedOut are the sessions that were: "GROUP/ID".
	SignedOut map[string]bool
	// Broken names what does not answer.
	Broken map[string]bool
}

// New is an empty World of which all answers.
func New() *World {
	return &World{
		Jobs: map[string]job.Job{}, Events: map[string][]job.TimelineEvent{}, Records: map[string]wait.Record{},
		Broken: map[string]bool{}, taken: map[string]job.Header{}, SignedOut: map[string]bool{}, Changes: make(chan wait.Record),
		Triggers: []broker.TriggerInfo{{Namespace: "n", Broker: "b", Name: "store", Retries: 1, OldestAge: 90 * time.Second}},
		Counts:   wait.Counts{Slots: 3, Parked: 12},
	}
}

// Deps are the World's, with a broker that has dead letters and nothing else.
func (w *World) Deps(t testing.TB, keys string) jobs.Deps {
	t.Helper()
	k, err := auth.New(auth.Config{Keys: authtest.Hashed(keys)})
	require.NoError(t, err)
	return jobs.Deps{Store: store{w}, Waits: waits{w}, Enqueuer: w, DeadLetters: deadLetters{w}, Keys: k}
}

// Service reads the World's jobs, two streams at a time.
func (w *World) Service(t testing.TB, keys string) *jobs.Service {
	t.Helper()
	return w.Shared(t, keys, jobs.Config{MaxStreams: 2})
}

// Shared is a Service with the limits of cfg.
func (w *World) Shared(t testing.TB, keys string, cfg jobs.Config) *jobs.Service {
	t.Helper()
	cfg.Heartbeat, cfg.SessionSecret = 20*time.Millisecond, "a secret of the tests"
	s, err := jobs.New(cfg, w.Deps(t, keys))
	require.NoError(t, err)
	return s
}

// OperatedService is a Service whose broker has one Trigger, n/b/store, which
// operators may steer; it is always Created.
func (w *World) OperatedService(t testing.TB, keys string, operators ...string) *jobs.Service {
	t.Helper()
	d := w.Deps(t, keys)
	d.Broker, d.Slots, d.Now = Broker{w}, Broker{w}, func() time.Time { return Created }
	s, err := jobs.New(jobs.Config{Heartbeat: time.Second, MaxStreams: 2, Operators: operators, Refresh: 10 * time.Millisecond}, d)
	require.NoError(t, err)
	return s
}

// Fails is the error of what is broken.
func (w *World) Fails(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Broken[name] {
		return ErrGone
	}
	return nil
}

// Set changes the World while it is in use.
func (w *World) Set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

type store struct{ *World }

func (b store) Job(_ context.Context, owner, id string) (job.Job, error) {
	if err := b.Fails("job store"); err != nil {
		return job.Job{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	j, ok := b.World.Jobs[id]
	if !ok || j.TenantID != owner {
		return job.Job{}, jobstore.ErrNotFound
	}
	return j, nil
}

func (b store) Jobs(_ context.Context, owner string, q jobstore.Query) (jobstore.Page, error) {
	if err := b.Fails("job store"); err != nil {
		return jobstore.Page{}, err
	}
	if q.Cursor == "bad" {
		return jobstore.Page{}, jobstore.ErrCursor
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(q.Status) != 1 || q.Status[0] != job.Completed { // how long sweeps took is asked besides
		b.Query = q
	}
	var page jobstore.Page
	for _, j := range b.World.Jobs {
		if j.TenantID == owner {
			page.Jobs, page.Next = append(page.Jobs, j), "next"
		}
	}
	return page, nil
}

func (b store) Timeline(_ context.Context, owner, id string) ([]job.TimelineEvent, error) {
	if err := b.Fails("job store"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if j, ok := b.World.Jobs[id]; !ok || j.TenantID != owner {
		return nil, jobstore.ErrNotFound
	}
	return b.Events[id], nil
}

// read begins a read.
func (w *World) read(ctx context.Context, what string) error {
	w.mu.Lock()
	reading := w.Reading
	w.mu.Unlock()
	if reading == nil {
		return nil
	}
	return reading(ctx, what)
}

func (b store) Results(ctx context.Context, _, _ string, q jobstore.RowQuery) iter.Seq2[job.Row, error] {
	return func(yield func(job.Row, error) bool) {
		if err := b.read(ctx, "rows"); err != nil {
			yield(job.Row{}, err)
			return
		}
		b.Set(func() { b.RowQuery = q })
		for _, r := range b.World.Rows {
			if !yield(r, nil) {
				return
			}
		}
		if b.RowErr != nil {
			yield(job.Row{}, b.RowErr)
		}
	}
}

func (b store) Rows(_ context.Context, _, _ string, q jobstore.RowQuery) ([]job.Row, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.RowQuery = q
	limit, offset := q.Window()
	offset = min(offset, len(b.World.Rows))
	return append([]job.Row{}, b.World.Rows[offset:min(offset+limit, len(b.World.Rows))]...), b.RowErr
}

func (b store) Surface(ctx context.Context, _, _ string) ([]byte, error) {
	if err := b.read(ctx, "surface"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.World.Surface, nil
}

func (b store) CountRows(_ context.Context, _, _ string, _ jobstore.RowQuery) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.World.Rows), b.RowErr
}

func (b store) Retries(_ context.Context, owner string, ids []string) (map[string][]string, error) {
	for _, part := range []string{"job store", "retries"} {
		if err := b.Fails(part); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	found := map[string][]string{}
	for _, j := range b.World.Jobs {
		if j.RetryOf != "" && j.TenantID == owner && slices.Contains(ids, j.RetryOf) {
			found[j.RetryOf] = append(found[j.RetryOf], j.JobID)
		}
	}
	return found, nil
}

func (b store) Activity(ctx context.Context, owner string, in jobstore.Intervals) ([]jobstore.Interval, error) {
	if err := b.read(ctx, "activity"); err != nil {
		return nil, err
	}
	if err := b.Fails("job store"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var rows []jobstore.IntervalRow
	for _, j := range b.World.Jobs {
		if j.TenantID != owner || j.CreatedAt.Before(in.From) {
			continue
		}
		row := jobstore.IntervalRow{Number: int(j.CreatedAt.Sub(in.From) / in.Every), Status: j.Shown(), Jobs: 1}
		if j.CompletedAt != nil {
			took := j.CompletedAt.Sub(j.CreatedAt)
			row.Median, row.P95 = &took, &took
		}
		rows = append(rows, row)
	}
	return in.Fill(rows), nil
}

func (b store) Counts(ctx context.Context, owner string, _ jobstore.Query) (map[job.State]int, error) {
	if err := b.read(ctx, "counts"); err != nil {
		return nil, err
	}
	if err := b.Fails("job store"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := map[job.State]int{}
	for _, j := range b.World.Jobs {
		if j.TenantID == owner {
			counts[j.Shown()]++
		}
	}
	return counts, nil
}

func (b store) Ping(context.Context) error { return b.Fails("job store") }

type waits struct{ *World }

func (r waits) Get(_ context.Context, id string) (wait.Record, error) {
	if err := r.Fails("redis"); err != nil {
		return wait.Record{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, ok := r.World.Records[id]
	if !ok {
		return wait.Record{}, wait.ErrUnknown
	}
	return rec, nil
}

func (r waits) Records(ctx context.Context, ids ...string) (map[string]wait.Record, error) {
	r.Set(func() { r.Reads++ })
	found := map[string]wait.Record{}
	for _, id := range ids {
		rec, err := r.Get(ctx, id)
		switch {
		case err == nil:
			found[id] = rec
		case !errors.Is(err, wait.ErrUnknown):
			return nil, err
		}
	}
	return found, nil
}

func (r waits) Watch(context.Context, string) (<-chan wait.Record, error) {
	return r.Changes, r.Fails("redis")
}

func (r waits) Cancel(ctx context.Context, id string) (wait.State, error) {
	rec, err := r.Get(ctx, id)
	if err != nil || rec.State.Ended() {
		return rec.State, err
	}
	rec.State, rec.ErrorCode = wait.Failed, job.Cancelled
	r.Set(func() {
		r.World.Records[id] = rec
		r.Acts = append(r.Acts, "cancel "+id)
	})
	return rec.State, nil
}

func (r waits) Ping(context.Context) error { return r.Fails("redis") }

func (r waits) Revoke(_ context.Context, group, id string, _ time.Time) error {
	if err := r.Fails("redis"); err != nil {
		return err
	}
	r.Set(func() { r.SignedOut[group+"/"+id] = true })
	return nil
}

func (r waits) Revoked(_ context.Context, group, id string, _ time.Time) (bool, error) {
	if err := r.Fails("redis"); err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.SignedOut[group+"/"+id], nil
}

// Enqueue takes every job. Equal keys give one.
func (w *World) Enqueue(_ context.Context, r enqueue.Request) (enqueue.Accepted, error) {
	if err := w.Fails("sink"); err != nil {
		return enqueue.Accepted{}, err
	}
	w.Set(func() { w.Tried++ })
	if w.TakeErr != nil {
		return enqueue.Accepted{}, w.TakeErr
	}
	h, known := job.Header{JobID: job.NewID(), TenantID: r.Tenant, Parameters: r.Sweep, RetryOf: r.RetryOf, GroupID: r.GroupID, Labels: r.Labels, NotifyURL: r.NotifyURL, CreatedAt: Created}, false
	full := false
	w.Set(func() {
		if full = w.MostTaken > 0 && len(w.Taken) >= w.MostTaken; full {
			return
		}
		w.Taken = append(w.Taken, r)
		key := r.Tenant + "/" + r.Key
		if first, ok := w.taken[key]; ok && r.Key != "" {
			h, known = first, true
		}
		w.taken[key] = h
	})
	if full {
		return enqueue.Accepted{}, w.FullErr
	}
	return enqueue.Accepted{Header: h, Replayed: known}, nil
}

// EnqueueGroup takes a job for each ticker, as Enqueue takes each.
func (w *World) EnqueueGroup(ctx context.Context, r enqueue.Request, tickers []string) (all []enqueue.Accepted, err error) {
	for n, ticker := range tickers {
		r.Sweep.Ticker = ticker
		a, err := w.Enqueue(ctx, enqueue.Request{Tenant: r.Tenant, Sweep: r.Sweep, Labels: r.Labels, NotifyURL: r.NotifyURL, GroupID: r.GroupID, Shares: r.Shares})
		if err != nil {
			return nil, err
		}
		if n == 0 {
			r.GroupID = a.Header.JobID
		}
		a.Header.GroupID = r.GroupID
		all = append(all, a)
	}
	return all, nil
}

type deadLetters struct{ *World }

func (m deadLetters) DeadLetters(_ context.Context, q broker.DeadLetterQuery) (page []broker.DeadLetter, next string, err error) {
	if err := m.Fails("redis"); err != nil {
		return nil, "", err
	}
	for _, l := range m.World.DeadLetters {
		if (q.Before == "" || l.Position < q.Before) && len(page) < q.Limit && (q.Trigger == "" || q.Trigger == l.Trigger) {
			if next = l.Position; q.Look != nil {
				l.Event = l.Event.Clone()
				q.Look(&l)
			}
			page = append(page, l)
		}
	}
	if len(page) < q.Limit {
		next = ""
	}
	return page, next, nil
}

func (m deadLetters) DeadLetter(_ context.Context, id string) (broker.DeadLetter, error) {
	for _, l := range m.World.DeadLetters {
		if l.ID == id {
			return l, nil
		}
	}
	return broker.DeadLetter{}, broker.ErrNotFound
}

func (m deadLetters) Redrive(_ context.Context, id string) error { return m.act("redrive " + id) }
func (m deadLetters) Discard(_ context.Context, id string) error { return m.act("discard " + id) }

// act notes what is done with a letter, unless the broker is broken.
func (m deadLetters) act(what string) error {
	if err := m.Fails("broker"); err != nil {
		return err
	}
	m.Set(func() { m.Acts = append(m.Acts, what) })
	return nil
}

// Stored is a job of the job store.
func (w *World) Stored(owner string, s job.State) job.Job {
	j := job.Job{
		JobID: job.NewID(), TenantID: owner, JobType: job.Type, Status: s, Ticker: "DAX", Parameters: Sweep,
		CreatedAt: Created, Results: []job.Row{},
	}
	if s == job.Failed {
		j.ErrorCode, j.ErrorMessage = job.TimedOut, "no result within an hour"
	}
	w.Set(func() { w.Jobs[j.JobID] = j })
	return j
}

// Recorded is a job of which there is only a wait record.
func (w *World) Recorded(owner string) job.Header {
	h := job.Header{JobID: job.NewID(), TenantID: owner, JobType: job.Type, Parameters: Sweep, CreatedAt: Created}
	w.Set(func() { w.Records[h.JobID] = wait.Record{Header: h} })
	return h
}

// Call asks h for a path, with pairs of names and values as headers.
func Call(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, path, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Decode reads an answer as JSON.
func Decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v), w.Body)
	return v
}

// Running is the wait record of a job on its way.
func Running(h job.Header, progress int) wait.Record {
	return wait.Record{Header: h, State: wait.Waiting, Progress: progress}
}

// Ended is the wait record of a job whose sweep is done.
func Ended(h job.Header) wait.Record {
	return wait.Record{Header: h, State: wait.Completed, Progress: 100}
}

// Form sends a form as a browser does.
func Form(h http.Handler, path string, v url.Values, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
