package supervise_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	refusal "github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/wait"
)

// book stands for store and its job store: it knows what it was told, in any order
// and any number of times.
type book struct {
	mu     sync.Mutex
	jobs   map[string]job.Job
	told   map[string]bool
	notes  map[string][]string // channels of which an event says that they were told
	read   int                 // of the bus
	pages  int                 // statements
	away   error
	misses func(cloudevents.Event) bool
}

func newBook() *book { return &book{jobs: map[string]job.Job{}, told: map[string]bool{}} }

// catchUp takes what the bus has got since.
func (b *book) catchUp(w *world) {
	w.bus.mu.Lock()
	events := slices.Clone(w.bus.all[b.read:])
	b.read = len(w.bus.all)
	w.bus.mu.Unlock()
	for _, e := range events {
		if b.misses == nil || !b.misses(e) {
			b.resolve(w.t, e)
		}
	}
}

func (b *book) resolve(t *testing.T, e cloudevents.Event) {
	t.Helper()
	var d struct {
		job.Header
		TradingJobID string        `json:"trading_job_id"`
		SubmittedAt  *time.Time    `json:"submitted_at"`
		CompletedAt  *time.Time    `json:"completed_at"`
		FailedAt     *time.Time    `json:"failed_at"`
		ErrorCode    job.ErrorCode `json:"error_code"`
		Turn         int           `json:"turn"`
		Late         bool          `json:"late"`
	}
	require.NoError(t, json.Unmarshal(e.Data(), &d))
	b.mu.Lock()
	defer b.mu.Unlock()
	j, ok := b.jobs[d.JobID]
	if !ok {
		j = job.Job{
			JobID: d.JobID, TenantID: d.TenantID, JobType: d.JobType, Parameters: d.Parameters, Ticker: d.Parameters.Ticker,
			CreatedAt: d.CreatedAt, Status: job.Queued, Results: []job.Row{},
		}
	}
	if j.Status.Terminal() || d.Late {
		return
	}
	switch e.Type() {
	case event.SweepSubmitted:
		j.Status, j.TradingJobID, j.StartedAt, j.Attempts = job.Running, d.TradingJobID, d.SubmittedAt, d.Turn
	case event.SweepCompleted:
		j.Status, j.CompletedAt = job.Completed, d.CompletedAt
	case event.SweepFailed:
		j.Status, j.CompletedAt, j.ErrorCode = job.Failed, d.FailedAt, d.ErrorCode
	}
	b.jobs[d.JobID] = j
}

func (b *book) page(after string, limit int, want func(job.Job) bool) ([]job.Job, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages++
	if b.away != nil {
		return nil, b.away
	}
	out := []job.Job{}
	for _, j := range b.jobs {
		if want(j) && j.JobID > after {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(x, y job.Job) int { return cmp.Compare(x.JobID, y.JobID) })
	return out[:min(len(out), limit)], nil
}

func (b *book) PendingPage(_ context.Context, after string, limit int) ([]job.Job, error) {
	return b.page(after, limit, func(j job.Job) bool { return !j.Status.Terminal() || !b.told[j.JobID] })
}

func (b *book) Timeline(_ context.Context, _, id string) (list []job.TimelineEvent, err error) {
	list = append(list, job.TimelineEvent{Type: event.SweepRequested, Data: map[string]any{"channel": "no note"}})
	for _, c := range b.notes[id] {
		list = append(list, job.TimelineEvent{Type: event.JobNotified, Data: map[string]any{"channel": c}})
	}
	return list, nil
}

func (b *book) Lookup(_ context.Context, ids []string) ([]job.Job, error) {
	return b.page("", len(ids), func(j job.Job) bool { return slices.Contains(ids, j.JobID) })
}

func (b *book) status(id string) job.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.jobs[id].Status
}

// reconciler is one in the present life of the process.
func (w *world) reconciler(b *book) (*supervise.Reconciler, *prometheus.Registry) {
	w.t.Helper()
	reg := prometheus.NewRegistry()
	r, err := supervise.NewReconciler(supervise.ReconcileConfig{Grace: time.Minute}, b, w.proc.waits, &sink{bus: w.bus, faults: w.proc.faults}, reg)
	require.NoError(w.t, err)
	return r, reg
}

// reconcile gives the supervisor of this life a reconciler.
func (w *world) reconcile(b *book) *supervise.Reconciler {
	w.t.Helper()
	r, _ := w.reconciler(b)
	supervise.WithReconciler(r)(w.proc.supervise)
	return r
}

// loseRedis empties Redis, and with it the broker: what it had to deliver, and
// which events it knows.
func (w *world) loseRedis() {
	w.t.Helper()
	opts, err := redis.ParseURL(w.url)
	require.NoError(w.t, err)
	c := redis.NewClient(opts)
	defer func() { _ = c.Close() }()
	for keys := c.Scan(w.t.Context(), 0, w.waitCfg.KeyPrefix+"*", 1000).Iterator(); keys.Next(w.t.Context()); {
		require.NoError(w.t, c.Del(w.t.Context(), keys.Val()).Err())
	}
	w.loseBroker()
}

// loseBroker forgets what the broker had to deliver, and which events it knows.
func (w *world) loseBroker() {
	w.bus.mu.Lock()
	defer w.bus.mu.Unlock()
	w.bus.seen, w.bus.queue = map[string]bool{}, nil
}

// ids of the events that the bus got since, by type.
func (w *world) since(n int, typ string) (out []string) {
	w.bus.mu.Lock()
	defer w.bus.mu.Unlock()
	for _, e := range w.bus.all[n:] {
		if e.Type() == typ {
			out = append(out, e.ID())
		}
	}
	return out
}

func (w *world) events() int {
	w.bus.mu.Lock()
	defer w.bus.mu.Unlock()
	return len(w.bus.all)
}

// Jobs stand everywhere when Redis comes back empty. Each ends as it should,
// with one sweep, and no more sweeps run at once than may.
func TestRedisComesBackEmptyUnderJobsInEveryState(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]float64{"callbacks come": 0, "callbacks are lost": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachRedis(t, func(t *testing.T, on func(*options)) {
				w := newWorld(t, on, func(o *options) {
					o.wait.MaxConcurrent, o.sim.MaxConcurrent = 2, 2
					o.sim.Delay, o.sim.LoseCallbacks = 20*time.Second, lose
				})
				b := newBook()
				ended := w.request("a")
				w.pass(time.Minute, time.Second, ended)
				b.told[ended] = true
				running := []string{w.request("a"), w.request("a")}
				w.turn()
				parked := []string{w.request("a"), w.request("b")}
				w.turn()
				accepted := w.request("a")
				for _, id := range running {
					require.Equal(t, wait.Waiting, w.record(id).State, "%+v, events %d", w.record(id), w.events())
				}
				for _, id := range parked {
					require.Equal(t, wait.Parked, w.record(id).State)
				}
				require.Equal(t, wait.Accepted, w.record(accepted).State)
				b.catchUp(w)
				all := slices.Concat(running, parked, []string{accepted})

				w.loseRedis()
				fresh := w.request("a") // somebody comes before anything is mended
				r, reg := w.reconciler(b)
				repairs, done, err := r.RunIfDue(t.Context())
				require.NoError(t, err)
				require.True(t, done)
				require.Equal(t, supervise.Repairs{"record": 5}, repairs)
				require.Equal(t, 5.0, testutil.ToFloat64(counterOf(t, reg, "pipeline_reconcile_repaired_total", "record")))
				for _, id := range running {
					require.Equal(t, wait.Waiting, w.record(id).State, "its sweep runs on")
				}
				w.pass(30*time.Minute, time.Second, append(all, fresh)...)
				b.catchUp(w)
				for _, id := range append(all, fresh) {
					require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
					require.Equal(t, job.Completed, b.status(id))
				}
				for url, n := range w.sim.SubmissionsByURL() {
					require.Equal(t, 1, n, "submissions of %s", url)
				}
				require.LessOrEqual(t, w.sim.Stats().MaxSeen, 2, "sweeps that went on hold their slots")
				w.pass(time.Minute, time.Second)
				counts, err := w.observer.Count(t.Context())
				require.NoError(t, err)
				require.Zero(t, counts.Slots+counts.Parked+counts.Waiting, "nothing is left behind")

				repairs, err = r.Round(t.Context(), true)
				require.NoError(t, err)
				require.Empty(t, repairs["record"])
			})
		})
	}
}

func counterOf(t *testing.T, reg *prometheus.Registry, name, label string) prometheus.Collector {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "value"})
				g.Set(m.GetCounter().GetValue())
				return g
			}
		}
	}
	require.Fail(t, "no "+name)
	return nil
}

// The sweep is at the API, and neither Redis nor the job store knows: the job store was
// behind when Redis got lost. The API is asked before anything is submitted.
func TestALostJobWhoseSweepNobodyKnows(t *testing.T) {
	t.Parallel()
	for _, lose := range []float64{0, 1} {
		w := newWorld(t, func(o *options) { o.sim.Delay, o.sim.LoseCallbacks = 20*time.Second, lose })
		b := newBook()
		b.misses = func(e cloudevents.Event) bool { return e.Type() == event.SweepSubmitted }
		id := w.request("a")
		w.turn()
		b.catchUp(w)
		require.Equal(t, job.Queued, b.status(id))
		w.loseRedis()
		r, _ := w.reconciler(b)
		_, err := r.Round(t.Context(), true)
		require.NoError(t, err)
		w.pass(10*time.Minute, time.Second, id)
		require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type())
		require.EqualValues(t, 1, w.sim.Stats().Submissions)
	}
}

// Redis was away for longer than the job had.
func TestALostJobWhoseTimeIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *options) {
		o.sim.Delay, o.wait.CallbackTimeout, o.wait.QueueTimeout = 48*time.Hour, time.Hour, 24*time.Hour
		o.wait.MaxConcurrent = 1
	})
	b := newBook()
	running := w.request("a")
	w.turn()
	parked := w.request("a")
	w.turn()
	b.catchUp(w)
	w.loseRedis()
	w.clock.Advance(25 * time.Hour)
	r, _ := w.reconciler(b)
	_, err := r.Round(t.Context(), true)
	require.NoError(t, err)
	w.pass(10*time.Minute, time.Second, running, parked)
	for _, id := range []string{running, parked} {
		d, err := event.Data[event.Failed](w.onlyEnd(id))
		require.NoError(t, err)
		require.Equal(t, job.TimedOut, d.ErrorCode)
	}
	w.pass(time.Minute, time.Second)
	require.EqualValues(t, 1, w.sim.Stats().Submissions, "a job of yesterday is not submitted today")
	require.Zero(t, w.sim.Stats().InFlight, "nobody waits for the sweep any more")
}

// The wait has ended and its event was stored by the broker, and nobody knows
// what became of it: store died with it, it was a dead letter, a disk was lost.
func TestAnEndThatTheStoreMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBook()
	b.misses = func(e cloudevents.Event) bool {
		_, n := event.Original(e.ID())
		return n == 0 && (e.Type() == event.SweepCompleted || e.Type() == event.SweepFailed)
	}
	id := w.request("a")
	w.pass(time.Minute, time.Second, id)
	b.catchUp(w)
	require.Equal(t, job.Running, b.status(id))
	r, _ := w.reconciler(b)
	at := w.events()
	round := func() supervise.Repairs {
		b.catchUp(w)
		repairs, err := r.Round(t.Context(), false)
		require.NoError(t, err)
		b.catchUp(w)
		return repairs
	}
	require.Empty(t, round(), "store has a minute")
	w.clock.Advance(2 * time.Minute)
	require.Equal(t, supervise.Repairs{"end": 1}, round())
	require.Equal(t, job.Running, b.status(id), "the broker remembers the event and drops the repeat")
	require.Equal(t, at, w.events())
	w.clock.Advance(time.Hour)
	require.Equal(t, supervise.Repairs{"end": 1}, round())
	require.Equal(t, []string{id + "/completed/again-1"}, w.since(at, event.SweepCompleted))
	require.Equal(t, job.Completed, b.status(id))
	w.clock.Advance(time.Hour)
	require.Zero(t, round()["end"])
}

// As long as store is behind or away, its backlog must not grow by what is sent
// again.
func TestSendingAgainIsNoLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBook()
	b.misses = func(e cloudevents.Event) bool { return e.Type() == event.SweepCompleted }
	id := w.request("a")
	w.pass(time.Minute, time.Second, id)
	r, _ := w.reconciler(b)
	b.catchUp(w)
	at, sent := w.events(), 0
	for range 24 * 12 { // a day
		w.clock.Advance(5 * time.Minute)
		repairs, err := r.Round(t.Context(), false)
		require.NoError(t, err)
		sent += repairs["end"]
	}
	require.Equal(t, []string{
		id + "/completed/again-1", id + "/completed/again-2", id + "/completed/again-3", id + "/completed/again-4", id + "/completed/again-5",
	}, w.since(at, event.SweepCompleted), "after 1, 2, 4, 8 and 16 hours")
	require.LessOrEqual(t, sent, 12)

	// Replicas that do not know when the other's round was send the same events.
	other, _ := w.reconciler(b)
	for range 5 {
		_, err := other.Round(t.Context(), true)
		require.NoError(t, err)
	}
	require.Len(t, w.since(at, event.SweepCompleted), 5)
}

// A 202 whose event got lost: the record is all there is.
func TestAnAcceptedJobWithoutAnEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBook()
	lost, refused, young := header(w), header(w), header(w)
	for _, h := range []job.Header{lost, refused} {
		_, err := w.proc.waits.Accept(t.Context(), h, "print")
		require.NoError(t, err)
	}
	require.NoError(t, w.proc.waits.MarkRefused(t.Context(), refused.JobID))
	w.clock.Advance(2 * time.Minute)
	young.CreatedAt = w.clock.Now()
	_, err := w.proc.waits.Accept(t.Context(), young, "print")
	require.NoError(t, err)
	r, _ := w.reconciler(b)
	repairs, err := r.Round(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, supervise.Repairs{"request": 1}, repairs)
	require.Equal(t, []string{lost.JobID + "/requested"}, w.since(0, event.SweepRequested), "no other job was promised to anybody, or is late")
	w.pass(time.Minute, time.Second, lost.JobID)
	w.onlyEnd(lost.JobID)
	require.Equal(t, wait.Accepted, w.record(refused.JobID).State)
}

func header(w *world) job.Header {
	return job.Header{
		JobID: job.NewID(), TenantID: "a", JobType: job.Type, CreatedAt: w.clock.Now(),
		Parameters: job.Sweep{Ticker: "DAX", FastRange: [2]int{10, 20}, SlowRange: [2]int{30, 60}, Step: 10, MinTrades: 10, StrategyType: job.SMA},
	}
}

// All events of a job died at the store, so it does not even know that there is
// one. The first of its end that gets through tells it everything.
func TestAJobThatTheStoreNeverHeardOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBook()
	id := w.request("a")
	w.pass(time.Minute, time.Second, id)
	b.misses = func(e cloudevents.Event) bool {
		_, n := event.Original(e.ID())
		return n == 0
	}
	b.catchUp(w)
	require.Empty(t, b.status(id))
	w.clock.Advance(61 * time.Minute)
	r, _ := w.reconciler(b)
	repairs, err := r.Round(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, supervise.Repairs{"end": 1}, repairs)
	b.catchUp(w)
	require.Equal(t, job.Completed, b.status(id))
}

func TestEndsWithoutNotification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBook()
	add := func(ago time.Duration, told bool) string {
		h := header(w)
		end := w.clock.Now().Add(-ago)
		h.CreatedAt = end.Add(-time.Minute)
		b.jobs[h.JobID] = job.Job{
			JobID: h.JobID, TenantID: h.TenantID, JobType: h.JobType, Parameters: h.Parameters, CreatedAt: h.CreatedAt,
			Status: job.Completed, CompletedAt: &end, Results: []job.Row{},
		}
		b.told[h.JobID] = told
		return h.JobID
	}
	add(time.Hour, true)
	add(30*time.Second, false)
	add(25*time.Hour, false)
	unnotified := add(3*time.Hour, false)
	b.notes = map[string][]string{unnotified: {"slack", "slack"}}
	r, _ := w.reconciler(b)
	repairs, err := r.Round(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, supervise.Repairs{"notice": 1}, repairs)
	require.Equal(t, []string{unnotified + "/job"}, w.since(0, event.JobCompleted), "under the id that a broker knows which has lost nothing")
	d, err := event.Data[event.Finished](w.bus.all[len(w.bus.all)-1])
	require.NoError(t, err)
	require.Equal(t, []string{"slack"}, d.Notified)
	repairs, err = r.Round(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, supervise.Repairs{"notice": 2}, repairs, "in a Redis that has lost everything nothing is on its way")
}

// What somebody else wrote into the job store costs only itself, also at the first
// round after a start.
func TestAJobThatCanNeverBeBroughtOnIsSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBook()
	add := func(change func(*job.Job)) string {
		h := header(w)
		j := job.Job{JobID: h.JobID, TenantID: h.TenantID, JobType: h.JobType, Parameters: h.Parameters, CreatedAt: h.CreatedAt, Status: job.Queued}
		change(&j)
		b.jobs[j.JobID] = j
		return j.JobID
	}
	add(func(j *job.Job) { j.TenantID = "a/b" })
	add(func(j *job.Job) { j.JobID = "no id" })
	far := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	end := w.clock.Now().Add(-time.Hour)
	add(func(j *job.Job) { j.Status, j.CompletedAt, j.StartedAt = job.Completed, &end, &far })
	good := add(func(*job.Job) {})
	r, reg := w.reconciler(b)
	repairs, err := r.Round(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, supervise.Repairs{"record": 1}, repairs)
	require.Equal(t, good, w.record(good).Header.JobID)
	require.Contains(t, exposition(t, reg), `pipeline_reconcile_found_total{kind="set_aside"} 3`)
}

// The broker refuses one event of a batch: the others go on their way.
func TestAnEventThatTheBrokerRefusesKeepsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := newBook()
	end := w.clock.Now().Add(-time.Hour)
	bad := ""
	for range 3 {
		h := header(w)
		bad = h.JobID
		b.jobs[bad] = job.Job{
			JobID: bad, TenantID: h.TenantID, JobType: h.JobType, Parameters: h.Parameters, CreatedAt: h.CreatedAt.Add(-2 * time.Hour),
			Status: job.Completed, CompletedAt: &end, Results: []job.Row{},
		}
	}
	to := &choosy{sink: &sink{bus: w.bus, faults: w.proc.faults}, refuse: bad}
	r, err := supervise.NewReconciler(supervise.ReconcileConfig{Grace: time.Minute}, b, w.proc.waits, to, prometheus.NewRegistry())
	require.NoError(t, err)
	repairs, err := r.Round(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, supervise.Repairs{"notice": 2}, repairs)
}

func exposition(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	return w.Body.String()
}

// choosy refuses what tells of one job, and the whole batch with it.
type choosy struct {
	*sink

	refuse string
}

func (c *choosy) Send(ctx context.Context, events ...cloudevents.Event) error {
	for _, e := range events {
		if e.Subject() == c.refuse {
			return &refusal.Refused{Status: http.StatusBadRequest}
		}
	}
	return c.sink.Send(ctx, events...)
}

func TestRoundsGoByPages(t *testing.T) {
	t.Parallel()
	u := servertest.Redis(t) // the embedded one compiles a script each time
	w := newWorld(t, func(o *options) { o.redis, o.wait.MaxConcurrent = u, 5 })
	b := newBook()
	const jobs = 1203
	for i := range jobs {
		h := header(w)
		h.CreatedAt = start.Add(time.Duration(i/7) * time.Millisecond)
		b.jobs[h.JobID] = job.Job{JobID: h.JobID, TenantID: h.TenantID, JobType: h.JobType, Parameters: h.Parameters, CreatedAt: h.CreatedAt, Status: job.Queued}
	}
	r, _ := w.reconciler(b)
	repairs, err := r.Round(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, jobs, repairs["record"])
	require.Equal(t, 8, b.pages, "three and an empty one, for sweeps at the API and for the others")
	repairs, err = r.Round(t.Context(), false)
	require.NoError(t, err)
	require.Empty(t, repairs)
}

func TestOneReplicaReconciles(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, on func(*options)) {
		w := newWorld(t, on)
		b := newBook()
		cfg := supervise.ReconcileConfig{Interval: 2 * time.Second, Grace: time.Minute}
		replica := func() *supervise.Reconciler {
			r, err := supervise.NewReconciler(cfg, b, w.proc.waits, &sink{bus: w.bus, faults: w.proc.faults}, prometheus.NewRegistry())
			require.NoError(t, err)
			return r
		}
		replicas := []*supervise.Reconciler{replica(), replica(), replica()}
		rounds := func() (n int, err error) {
			for _, r := range replicas {
				_, done, e := r.RunIfDue(t.Context())
				if done {
					n++
				}
				err = errors.Join(err, e)
			}
			return n, err
		}
		b.away = errors.New("database away")
		n, err := rounds()
		require.ErrorIs(t, err, b.away)
		require.Equal(t, 3, n, "a round that failed is begun again at once, by anybody")
		b.away = nil
		n, err = rounds()
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = rounds()
		require.NoError(t, err)
		require.Zero(t, n)
		require.Eventually(t, func() bool {
			n, err := rounds()
			return err == nil && n == 1
		}, time.Minute, 50*time.Millisecond, "another interval")
	})
}

// Round after round, with the process dying at any call within: nothing is lost
// or doubled by a repair that was cut off.
func TestReconcilingCrashesAtEveryCall(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		w := newWorld(t, func(o *options) { o.wait.MaxConcurrent, o.sim.Delay = 1, 20*time.Second })
		b := newBook()
		ids := []string{w.request("a"), w.request("a")}
		w.turn()
		b.catchUp(w)
		w.loseRedis()
		w.restart(&faults{at: at, after: at%2 == 0})
		r, _ := w.reconciler(b)
		_, err := r.Round(t.Context(), true)
		crashed := w.proc.faults.crashed()
		require.Equal(t, crashed, err != nil, "call %d: %v", at, err)
		w.restart(nil)
		r, _ = w.reconciler(b)
		_, err = r.Round(t.Context(), false)
		require.NoError(t, err)
		w.pass(10*time.Minute, time.Second, ids...)
		for _, id := range ids {
			require.Equal(t, event.SweepCompleted, w.onlyEnd(id).Type(), "call %d", at)
		}
		for url, n := range w.sim.SubmissionsByURL() {
			require.Equal(t, 1, n, "submissions of %s", url)
		}
		if !crashed {
			require.Greater(t, at, 5)
			return
		}
	}
}

func TestReconcileConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for want, cfg := range map[string]supervise.ReconcileConfig{
		"RECONCILE_INTERVAL": {Interval: time.Millisecond},
		"RECONCILE_GRACE":    {Grace: time.Millisecond},
	} {
		_, err := supervise.NewReconciler(cfg, newBook(), w.proc.waits, &sink{}, prometheus.NewRegistry())
		require.ErrorContains(t, err, want)
	}
	_, err := supervise.NewReconciler(supervise.ReconcileConfig{}, nil, w.proc.waits, &sink{}, prometheus.NewRegistry())
	require.Error(t, err)
	require.NotEmpty(t, fmt.Sprint(err))
}
