// Package supervise is the long-wait supervisor: the one step that always runs.
// It handles every wait, so that a lost callback, a crash between two steps, a slow or
// restarted trading API and a full queue do not lose a job:
//
//   - due.go: due waits that need no API call are timed out or reclaimed, and the
//     events of their ends are sent;
//   - admit.go: queued jobs are admitted to slots, and calls are granted to waits that
//     are to be polled or cancelled; calls.go makes them in a pool of their own, so
//     that a slow API blocks nothing else;
//   - poll.go: a sweep whose callback may be lost is looked up; cancel.go: one that is
//     not wanted any more is cancelled at the API;
//   - reconcile.go, reconcile_round.go: what the job store has open is compared with what waits;
//   - deadletter.go: a job's undeliverable event becomes sweep.failed;
//   - metrics.go: job metrics are counted from the event stream.
//
// Any number of replicas may run, none special: they share the work by leases in
// Redis, and killing any of them loses nothing.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/creasty/defaults"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// Config is read from the environment.
type Config struct {
	// PollMin is the first interval between two polls of a sweep that is late; it grows
	// up to PollMax. The API wants no more than one poll a second a job. Default 5s.
	PollMin time.Duration `envconfig:"POLL_MIN" default:"5s"`
	// PollMax is the longest interval between two polls of a sweep that is late.
	// Default 1m.
	PollMax time.Duration `envconfig:"POLL_MAX" default:"1m"`
	trading.Progress
	// Tick is how often the loops run without being woken. Default 1s.
	Tick time.Duration `envconfig:"SUPERVISE_TICK" default:"1s"`
	// Batch is how many due waits are leased at once. Default 256.
	Batch int `envconfig:"SUPERVISE_BATCH" default:"256"`
	// Parallel is how many due waits are worked on at once, and how many calls to
	// the API are under way at once. Default 16.
	Parallel int `envconfig:"SUPERVISE_PARALLEL" default:"16"`
	// Lease is how long a leased wait is left to this replica. Default 30s.
	Lease time.Duration `envconfig:"SUPERVISE_LEASE" default:"30s"`
	// CancelTimeout is how long cancelling an unneeded sweep at the API is retried.
	// Default 1h.
	CancelTimeout time.Duration `envconfig:"CANCEL_TIMEOUT" default:"1h"`
	// Resubmissions is how often a sweep that the API lost is submitted again.
	// Default 3.
	Resubmissions int `envconfig:"RESUBMISSIONS" default:"3"`
}

// withDefaults fills empty fields and names every one that is wrong.
func (c Config) withDefaults() (Config, error) {
	defaults.MustSet(&c)
	var errs []error
	for _, d := range []struct {
		name         string
		value, least time.Duration
	}{
		{"POLL_MIN", c.PollMin, time.Second},
		{"POLL_MAX", c.PollMax, time.Second},
		{"SUPERVISE_TICK", c.Tick, 10 * time.Millisecond},
		{"SUPERVISE_LEASE", c.Lease, time.Second},
		{"CANCEL_TIMEOUT", c.CancelTimeout, time.Second},
	} {
		if d.value < d.least {
			errs = append(errs, fmt.Errorf("%s: must be at least %s", d.name, d.least))
		}
	}
	errs = append(errs, c.CheckProgress())
	if c.PollMin > c.PollMax {
		errs = append(errs, errors.New("POLL_MIN: must not be above POLL_MAX"))
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"SUPERVISE_BATCH", c.Batch}, {"SUPERVISE_PARALLEL", c.Parallel}, {"RESUBMISSIONS", c.Resubmissions}} {
		if n.value < 1 {
			errs = append(errs, fmt.Errorf("%s: must be above 0", n.name))
		}
	}
	return c, errors.Join(errs...)
}

// sweeps is the part of the trading API that reads and cancels sweeps:
// trading.Client.
type sweeps interface {
	Job(ctx context.Context, id string) (trading.Job, error)
	Find(ctx context.Context, ourJobID string, since time.Time) ([]trading.Job, error)
	Cancel(ctx context.Context, id string) error
}

// Function is the step.
type Function struct {
	cfg     Config
	waits   *wait.Waits
	api     sweeps
	sink    wait.Sender
	metrics *metrics
	// reconciler may be nil.
	reconciler *Reconciler
	close      func() error

	calls calls

	mu    sync.Mutex
	stop  context.CancelFunc
	wakes []<-chan struct{}
	loops sync.WaitGroup
}

// Option changes what New builds.
type Option func(*Function)

// WithReconciler lets the function compare the waits with the job store. Without it
// jobs whose records or events get lost stay open.
func WithReconciler(r *Reconciler) Option { return func(f *Function) { f.reconciler = r } }

// New refuses missing dependencies and bad configuration, and does no I/O. The
// caller closes what it hands in, after Stop.
func New(cfg Config, waits *wait.Waits, api sweeps, sink wait.Sender, reg prometheus.Registerer, options ...Option) (*Function, error) {
	if waits == nil || api == nil || sink == nil || reg == nil {
		return nil, errors.New("supervise: waits, trading API, sink and registry are required")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Function{cfg: cfg, waits: waits, api: api, sink: sink, metrics: newMetrics(reg), calls: newCalls(cfg.Parallel)}
	for _, option := range options {
		option(f)
	}
	return f, nil
}

// Start sets the loops going and returns. They end with Stop, not with ctx,
// which belongs to the start alone. The map is func-go's and not used.
func (f *Function) Start(ctx context.Context, _ map[string]string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop != nil {
		return errors.New("supervise is already running")
	}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	admit, due := f.waits.Wakes(ctx)
	f.wakes = []<-chan struct{}{admit, due}
	f.loops.Go(func() { f.loop(ctx, "admit", []<-chan struct{}{admit, f.calls.freed}, f.admit) })
	f.loops.Go(func() { f.loop(ctx, "due", []<-chan struct{}{due}, f.handleDue) })
	f.loops.Go(func() { f.loop(ctx, "count", nil, f.count) })
	if f.reconciler != nil {
		f.loops.Go(func() { f.reconciler.run(ctx) })
	}
	return nil
}

// Stop ends the loops, waits for what they are at, and closes what FromEnv
// opened. What they leave comes up again elsewhere when its lease ends.
func (f *Function) Stop(context.Context) error {
	f.mu.Lock()
	stop := f.stop
	f.stop = nil
	f.mu.Unlock()
	if stop != nil {
		stop()
	}
	f.loops.Wait()
	f.calls.wait()
	for _, c := range f.wakes {
		for range c { // until the subscription has ended as well
		}
	}
	if f.close == nil {
		return nil
	}
	if err := f.close(); err != nil {
		return fmt.Errorf("close supervise: %w", err)
	}
	return nil
}

// Ready reports whether Redis answers. Without the trading API there is still
// enough to do.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	return function.Check(ctx, map[string]func(context.Context) error{"redis": f.waits.Ping})
}

// Handle takes events of two kinds: dead letters, which come to a path of their own, and
// those that the job metrics are counted from.
func (f *Function) Handle(ctx context.Context, e cloudevents.Event) (*cloudevents.Event, error) {
	if !function.IsDeadLetter(ctx) {
		return nil, f.metrics.count(e)
	}
	err := f.handleDeadLetter(ctx, e)
	if wait.Unavailable(err) {
		return nil, &sink.Unavailable{RetryAfter: sink.DefaultRetryAfter, Err: err}
	}
	return nil, err
}

// loop runs step when it is woken, after the delay that step returned, and with every
// tick at the latest. The first failure and the recovery are logged.
func (f *Function) loop(ctx context.Context, name string, wakes []<-chan struct{}, step func(context.Context) (time.Duration, error)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var wake, other <-chan struct{}
	if len(wakes) > 0 {
		wake = wakes[0]
	}
	if len(wakes) > 1 {
		other = wakes[1]
	}
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-wake:
			if !ok {
				wake = nil // ctx is about to end
				continue
			}
		case <-other:
		case <-timer.C:
		}
		again, err := step(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			slog.ErrorContext(ctx, "supervise loop failed, retrying", "loop", name, "error", err)
		case err == nil && failing:
			slog.InfoContext(ctx, "supervise loop recovered", "loop", name)
		}
		failing = err != nil
		if err != nil || again > f.cfg.Tick {
			again = f.cfg.Tick
		}
		timer.Reset(max(again, 0))
	}
}

// count sets the gauges.
func (f *Function) count(ctx context.Context) (time.Duration, error) {
	return f.cfg.Tick, f.metrics.gauge(ctx, f.waits)
}
