package supervise_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/callback"
	"github.com/zixly/sweepline/functions/submit"
	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/local/simulator"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

func TestMain(m *testing.M) {
	if !verbose() {
		slog.SetDefault(slog.New(slog.DiscardHandler))
	}
	redis.SetLogger(quiet{}) // connections that tests cut
	servertest.Main(m)
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func verbose() bool {
	flag.Parse()
	return testing.Verbose()
}

var (
	start  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	prefix atomic.Int64
)

// world is the pipeline between receive and store: the three steps, the trading
// API, and a stand-in for the broker that keeps its promises. Time passes only
// by world.pass.
type world struct {
	t        *testing.T
	clock    *simulator.ManualClock
	sim      *simulator.Simulator
	bus      *bus
	url      string
	waitCfg  wait.Config
	superCfg supervise.Config
	realTime bool
	proc     *process
	observer *wait.Waits // looks on; never crashes

	mu          sync.Mutex
	onCallback  func(*http.Request) // sees callbacks before the step does
	callbackLog []int
}

// options change a world before it begins.
type options struct {
	sim       simulator.Config
	wait      wait.Config
	supervise supervise.Config
	redis     string
	realTime  bool // then world.clock is nobody's
}

func newWorld(t *testing.T, change ...func(*options)) *world {
	t.Helper()
	o := options{sim: simulator.Config{Workers: 1}}
	o.wait.MaxConcurrent = 5
	for _, c := range change {
		c(&o)
	}
	if o.redis == "" {
		o.redis = servertest.AnyRedis(t)
	}
	w := &world{t: t, clock: simulator.NewManualClock(start), url: o.redis, waitCfg: o.wait, superCfg: o.supervise, realTime: o.realTime}
	w.waitCfg.KeyPrefix = "test" + time.Now().Format("150405.000000000") + string(rune('a'+prefix.Add(1)%26)) + ":"
	w.bus = &bus{world: w, seen: map[string]bool{}, ends: map[string][]cloudevents.Event{}}
	simulated := []simulator.Option{simulator.WithTransport(transport(w.serveCallback))}
	if !o.realTime {
		simulated = append(simulated, simulator.WithClock(w.clock))
	}
	sim, err := simulator.New(o.sim, slog.New(slog.DiscardHandler), simulated...)
	require.NoError(t, err)
	t.Cleanup(sim.Close)
	w.sim = sim
	opts, err := redis.ParseURL(w.url)
	require.NoError(t, err)
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	w.observer, err = wait.New(client, w.waitCfg, w.timed()...)
	require.NoError(t, err)
	w.restart(nil)
	t.Cleanup(func() { w.proc.close() })
	return w
}

func (w *world) timed() []wait.Option {
	if w.realTime {
		return nil
	}
	return []wait.Option{wait.WithClock(w.clock.Now)}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (w *world) serveCallback(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	p, hook := w.proc, w.onCallback
	w.mu.Unlock()
	if hook != nil {
		hook(r)
	}
	rec := httptest.NewRecorder()
	p.callback.Handle(rec, r)
	w.mu.Lock()
	w.callbackLog = append(w.callbackLog, rec.Code)
	w.mu.Unlock()
	return rec.Result(), nil
}

// process is one life of all three steps: a crash ends them all.
type process struct {
	redis     *redis.Client
	waits     *wait.Waits
	submit    *submit.Function
	callback  *callback.Function
	supervise *supervise.Function
	faults    *faults
}

func (p *process) close() {
	_ = p.waits.Close()
	_ = p.redis.Close()
}

// restart begins a new life of the process.
func (w *world) restart(f *faults) {
	w.t.Helper()
	if w.proc != nil {
		w.proc.close()
	}
	if f == nil {
		f = &faults{}
	}
	opts, err := redis.ParseURL(w.url)
	require.NoError(w.t, err)
	opts.MaxRetries = -1
	client := redis.NewClient(opts)
	client.AddHook(f)
	waits, err := wait.New(client, w.waitCfg, w.timed()...)
	require.NoError(w.t, err)
	api, err := trading.New(trading.Config{URL: "http://api.test"}, trading.WithPace(w.pace(waits)), trading.WithTransport(transport(func(r *http.Request) (*http.Response, error) {
		return f.roundTrip(r, w.sim.Handler())
	})))
	require.NoError(w.t, err)
	p := &process{redis: client, waits: waits, faults: f}
	sink := &sink{bus: w.bus, faults: f}
	p.submit, err = submit.New(submit.Config{BaseURL: "http://hooks.test", Secret: "secret of the tests", Progress: w.superCfg.Progress}, waits, api)
	require.NoError(w.t, err)
	p.callback, err = callback.New(callback.Config{Secret: "secret of the tests"}, waits, api, sink, prometheus.NewRegistry())
	require.NoError(w.t, err)
	p.supervise, err = supervise.New(w.superCfg, waits, api, sink, prometheus.NewRegistry())
	require.NoError(w.t, err)
	w.mu.Lock()
	w.proc = p
	w.mu.Unlock()
}

// pace lets time pass until there is a call.
func (w *world) pace(waits *wait.Waits) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			pause, err := waits.Allow(ctx)
			if err != nil || pause == 0 {
				return err
			}
			w.clock.Advance(pause)
		}
	}
}

// bus stands for the broker: it keeps what it takes, drops repeats by source
// and id, and delivers to submit until that acknowledges.
type bus struct {
	world *world
	mu    sync.Mutex
	seen  map[string]bool
	queue []cloudevents.Event
	ends  map[string][]cloudevents.Event // by job, late ones left out
	lates []cloudevents.Event
	all   []cloudevents.Event
	down  atomic.Bool
	// loses says of an event that it is stored, remembered and never delivered.
	loses func(cloudevents.Event) bool
}

func (b *bus) resolve(e cloudevents.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := e.Source() + " " + e.ID()
	if b.seen[key] {
		return
	}
	b.seen[key] = true
	b.all = append(b.all, e)
	if b.loses != nil && b.loses(e) {
		return
	}
	switch e.Type() {
	case event.SweepRequested, event.SweepAdmitted:
		b.queue = append(b.queue, e)
	case event.SweepCompleted, event.SweepFailed:
		if strings.Contains(string(e.Data()), `"late":true`) {
			b.lates = append(b.lates, e)
			return
		}
		b.ends[e.Subject()] = append(b.ends[e.Subject()], e)
	}
}

func (b *bus) count(typ string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, e := range b.all {
		if e.Type() == typ {
			n++
		}
	}
	return n
}

func (b *bus) ended(jobID string) []cloudevents.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ends[jobID]
}

// sink is a process' way to the bus.
type sink struct {
	bus    *bus
	faults *faults
}

func (s *sink) Send(_ context.Context, events ...cloudevents.Event) error {
	return s.faults.do(func() error {
		if s.bus.down.Load() {
			return errors.New("broker is down")
		}
		for _, e := range events {
			s.bus.resolve(e)
		}
		return nil
	})
}

// deliver hands everything queued to submit, each event twice.
func (w *world) deliver() { w.deliverTimes(2) }

func (w *world) deliverOnce() { w.deliverTimes(1) }

func (w *world) deliverTimes(times int) {
	for {
		w.bus.mu.Lock()
		queue := w.bus.queue
		w.bus.queue = nil
		w.bus.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		for i, e := range queue {
			for range times {
				reply, err := w.proc.submit.Handle(w.t.Context(), e)
				if err != nil {
					w.bus.mu.Lock()
					w.bus.queue = append(w.bus.queue, queue[i:]...)
					w.bus.mu.Unlock()
					return
				}
				if reply != nil {
					w.bus.resolve(*reply)
				}
			}
		}
	}
}

// admission lets everybody do what is to be done now. Errors are trouble that the
// test made, or show in what comes of it.
func (w *world) turn() {
	w.deliver()
	ctx := w.t.Context()
	_, _ = supervise.HandleDue(w.proc.supervise, ctx)
	_ = supervise.AdmitNext(w.proc.supervise, ctx)
	w.deliver()
	_ = w.proc.waits.Flush(ctx)
}

// pass lets time go by in steps, with an admission after each, until all jobs have
// ended or the time is over.
func (w *world) pass(d, step time.Duration, jobs ...string) {
	w.turn()
	for range int(d / step) {
		if w.allEnded(jobs) {
			return
		}
		w.clock.Advance(step)
		w.turn()
	}
}

func (w *world) allEnded(jobs []string) bool {
	if len(jobs) == 0 {
		return false
	}
	for _, id := range jobs {
		if len(w.bus.ended(id)) == 0 {
			return false
		}
	}
	return true
}

// request is what receive does.
func (w *world) request(tenant string) string {
	w.t.Helper()
	h := w.header(tenant)
	w.requestHeader(h)
	return h.JobID
}

func (w *world) header(tenant string) job.Header {
	return job.Header{
		JobID: job.NewID(), TenantID: tenant, JobType: job.Type, CreatedAt: w.clock.Now(),
		Parameters: job.Sweep{Ticker: "DAX", FastRange: [2]int{10, 20}, SlowRange: [2]int{30, 60}, Step: 10, MinTrades: 10, StrategyType: job.SMA},
	}
}

func (w *world) requestHeader(h job.Header) {
	w.t.Helper()
	_, err := w.proc.waits.Accept(w.t.Context(), h, "print")
	require.NoError(w.t, err)
	e, err := event.NewRequested(event.Requested{Header: h})
	require.NoError(w.t, err)
	w.bus.resolve(e)
}

func (w *world) record(jobID string) wait.Record {
	w.t.Helper()
	_ = w.proc.waits.Flush(w.t.Context())
	r, err := w.observer.Get(w.t.Context(), jobID)
	require.NoError(w.t, err)
	return r
}

// onlyEnd is the job's one end. It is waited for: the simulator's webhooks are sent beside
// the test, and on a busy machine are behind its clock.
func (w *world) onlyEnd(jobID string) cloudevents.Event {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.allEnded([]string{jobID}) }, time.Minute, 5*time.Millisecond, "job %s has no end", jobID)
	ends := w.bus.ended(jobID)
	require.Len(w.t, ends, 1, "ends of job %s", jobID)
	return ends[0]
}

func (w *world) idle() { require.NoError(w.t, w.sim.Idle(w.t.Context())) }

// eachRedis tells a story on the embedded Redis and on a real one.
func eachRedis(t *testing.T, story func(t *testing.T, on func(*options))) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		story(t, func(*options) {})
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		u := servertest.Redis(t)
		story(t, func(o *options) { o.redis = u })
	})
}

// post sends a body as the trading API would, and returns the status.
func (w *world) post(jobID, body string) int {
	w.t.Helper()
	u, err := trading.CallbackURL("http://hooks.test", jobID, trading.Token("secret of the tests", jobID))
	require.NoError(w.t, err)
	r := httptest.NewRequest(http.MethodPost, u, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.proc.callback.Handle(rec, r)
	return rec.Code
}
