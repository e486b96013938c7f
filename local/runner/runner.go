package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/local/simulator"
	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/dispatch"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/notifyurl"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/seal"
	"github.com/zixly/sweepline/shared/telemetry"
)

// sinkPath is the broker that the pipeline's manifests name.
const sinkPath = "/sweepline/default"

// Local is a running pipeline.
type Local struct {
	// PublicURL, BrokerURL, TradingURL and AdminURL are where it answers.
	PublicURL, BrokerURL, TradingURL, AdminURL string
	// LetIn says whose requests are answered.
	LetIn string
	// Messages says where messages of finished jobs go.
	Messages string
	// Simulated says that TradingURL is the simulator.
	Simulated bool
	// Mode says in one line which stores are used and what does not last.
	Mode string
	// DataDir is the folder in use.
	DataDir string
	// Missed are the runs of schedules that were missed, a line for each schedule.
	Missed []string
	// Resumed counts the unfinished jobs of an earlier process that were restored.
	Resumed int
	// Seals are the keys of this pipeline's events.
	Seals *seal.Keys

	log    *slog.Logger
	role   Role
	lock   *os.File
	stores *stores
	sim    *simulator.Simulator
	broker *broker.Server
	steps  []*step
	keys   *auth.Keys
	// notifyURLs are what schedules may have called.
	notifyURLs *notifyurl.Hosts
	// enqueue takes in what schedules ask for.
	enqueue   *enqueue.Enqueuer
	schedules *schedules
	// stopSchedules ends them and waits.
	stopSchedules func()
	// sending holds which messages are being sent. It is nil where Redis lasts.
	sending *sending
	// reconciler is the supervisor's.
	reconciler *supervise.Reconciler
	// traces are nil where none are sent.
	traces *telemetry.Traces

	// metrics are the broker's; the steps have theirs in the default registry.
	metrics *prometheus.Registry

	// hosts are the names that we answer for.
	hosts hosts

	// local is how parts of this process reach each other.
	local *loopback

	publicAt, brokerAt, tradingAt, adminAt *endpoint

	group      *errgroup.Group
	failed     context.Context //nolint:containedctx // ends when a part fails
	stopBroker context.CancelFunc
	brokerDone chan struct{}
	closed     bool
}

// Start brings everything up and returns once it answers. Close ends it.
func Start(ctx context.Context, cfg Config, log *slog.Logger) (_ *Local, err error) {
	role, err := ParseRole(string(cfg.Role))
	if err != nil {
		return nil, err
	}
	l := &Local{log: log, role: role, brokerDone: make(chan struct{}), metrics: prometheus.NewRegistry()}
	l.local = newLoopback(dispatch.NewTransport(nil))
	l.group, l.failed = errgroup.WithContext(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	if err := l.prepare(ctx, &cfg); err != nil {
		return nil, err
	}
	var traced telemetry.TraceConfig
	if err := function.Load(&traced); err != nil {
		return nil, err
	}
	if l.traces, err = telemetry.NewTraces(ctx, traced); err != nil {
		return nil, err
	}
	if err := l.startTrading(cfg); err != nil {
		return nil, err
	}
	if err := l.startSteps(ctx, cfg); err != nil {
		return nil, err
	}
	if err := l.startBroker(ctx, cfg); err != nil {
		return nil, err
	}
	if err := l.openSchedules(cfg.SchedulesDir); err != nil {
		return nil, err
	}
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	if l.schedules != nil {
		running, stop := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		l.stopSchedules = func() { stop(); <-done }
		l.group.Go(func() error {
			defer close(done)
			l.schedules.run(running)
			return nil
		})
	}
	return l, nil
}

// prepare takes the folder, the ports and the stores.
func (l *Local) prepare(ctx context.Context, cfg *Config) (err error) {
	if l.DataDir, err = cfg.Folder(); err != nil {
		return err
	}
	if l.lock, err = lock(l.DataDir); err != nil {
		return err
	}
	if cfg.CallbackSecret == "" {
		if cfg.SecretSet != "" {
			return errors.New("CALLBACK_SECRET is set but empty: unset it to have one made")
		}
		if cfg.CallbackSecret, err = secret(l.DataDir, "callback-secret"); err != nil {
			return err
		}
	}
	if l.publicAt, err = listen(ctx, "public port", cfg.Port, "--port"); err != nil {
		return err
	}
	if l.brokerAt, err = listen(ctx, "broker", cfg.BrokerPort, "--broker-port"); err != nil {
		return err
	}
	if l.adminAt, err = listen(ctx, "admin port", cfg.AdminPort, "--admin-port"); err != nil {
		return err
	}
	l.TradingURL = cfg.TradingURL
	if l.Simulated = cfg.TradingURL == ""; l.Simulated {
		if l.tradingAt, err = listen(ctx, "trading API simulator", cfg.TradingPort, "--trading-port"); err != nil {
			return err
		}
		l.TradingURL = l.tradingAt.url()
	}
	l.PublicURL, l.BrokerURL, l.AdminURL = l.publicAt.url(), l.brokerAt.url()+sinkPath, l.adminAt.url()
	if cfg.WebhookBaseURL == "" {
		cfg.WebhookBaseURL = l.PublicURL
	}
	if l.stores, err = openStores(ctx, *cfg, l.DataDir); err != nil {
		return err
	}
	l.Mode = l.stores.mode
	l.hosts = newHosts(cfg.WebhookBaseURL, cfg.AllowedHosts)
	return l.openSeals(ctx, *cfg)
}

// startBroker opens the ingress and begins to deliver, by the same manifests
// as a cluster.
func (l *Local) startBroker(ctx context.Context, cfg Config) error {
	bcfg := broker.DefaultConfig()
	if err := function.Load(&bcfg); err != nil {
		return err
	}
	bcfg.Transport = l.local
	if bcfg.Instance == "" { // the folder is locked: nobody else has this name
		bcfg.Instance = instance(l.DataDir)
	}
	if l.stores.embedded {
		bcfg.Journal, bcfg.Check = journal(l.stores.jobStore, l.Seals, l.sending, l.log), checkJournalled
	}
	client, err := redisclient.New(l.stores.redisURL)
	if err != nil {
		return err
	}
	l.stores.close = append(l.stores.close, func() { _ = client.Close() })
	l.broker, err = broker.New(bcfg, client, l.metrics, l.log)
	if err != nil {
		return err
	}
	if !l.stores.embedded { // what does not last there is said in Mode
		if err := redisclient.Await(ctx, client, l.log, l.broker.Check); err != nil {
			return err
		}
	}
	l.local.handle(l.brokerAt.host(), l.broker.Handler())
	set, err := wiring(l.steps)
	if err != nil {
		return err
	}
	if err := redisclient.Await(ctx, client, l.log, func(ctx context.Context) error { return l.broker.Apply(ctx, set) }); err != nil {
		return err
	}
	l.group.Go(func() error { return l.brokerAt.serve(l.broker.Handler(), l.hosts, l.log) })
	if l.role == Receiver {
		return nil
	}
	tracer, err := l.traces.Service(ctx, "broker")
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(telemetry.WithTracer(context.WithoutCancel(ctx), tracer))
	l.stopBroker = stop
	l.group.Go(func() error {
		defer close(l.brokerDone)
		return l.broker.Run(run)
	})
	return nil
}

// open resumes unfinished jobs and opens the public and admin ports.
func (l *Local) open(ctx context.Context) error {
	if l.role == Receiver {
		if err := l.awaitJobStore(ctx); err != nil {
			return err
		}
	} else if err := l.resume(ctx); err != nil {
		return err
	}
	checks := function.Checks{"broker": l.broker.Ready, "job store": l.stores.jobStore.Ping}
	l.group.Go(func() error {
		return l.adminAt.serve(function.Operations(checks, prometheus.Gatherers{prometheus.DefaultGatherer, l.metrics}), l.hosts, l.log)
	})
	front := public(func(step string) http.Handler {
		if step == "receive" && l.role == Worker {
			return http.NotFoundHandler()
		}
		return l.handler(step)
	})
	l.group.Go(func() error { return l.publicAt.serve(front, l.hosts, l.log) })
	return nil
}

// Failed is done when a part has ended by itself; Close says why.
func (l *Local) Failed() <-chan struct{} { return l.failed.Done() }

// Close ends everything in order: no new requests, then the supervisor and the
// deliveries in flight, then the steps they go to, then the stores. It returns
// what failed, if anything did.
func (l *Local) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, s := range l.steps {
		s.drain()
	}
	if l.stopSchedules != nil {
		l.stopSchedules()
	}
	l.publicAt.close(ctx)
	var err error
	for _, s := range l.steps {
		err = errors.Join(err, s.stop(ctx))
	}
	if l.stopBroker != nil {
		l.stopBroker()
		<-l.brokerDone
	}
	for _, s := range l.steps {
		s.at.close(ctx)
	}
	l.brokerAt.close(ctx)
	l.adminAt.close(ctx)
	l.tradingAt.close(ctx)
	if l.sim != nil {
		l.sim.Close()
	}
	err = errors.Join(err, l.group.Wait())
	l.local.close()
	if l.broker != nil {
		err = errors.Join(err, l.broker.Close())
	}
	if lost := l.traces.Close(); lost != nil { // an unavailable collector is no failure
		l.log.WarnContext(ctx, "exporting spans failed", "error", lost)
	}
	if l.stores != nil {
		l.stores.Close()
	}
	if l.lock != nil {
		_ = l.lock.Close()
	}
	return err
}

// bare is an address without what may be secret in it: user, password, query.
func bare(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "(an address that cannot be read)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Summary says where everything is, a line each.
func (l *Local) Summary() string {
	trading := bare(l.TradingURL)
	if l.Simulated {
		trading += "  (simulator)"
	}
	var b strings.Builder
	for _, line := range [][2]string{
		{"Dashboard", l.PublicURL}, {"Let in", l.LetIn}, {"Webhook", "POST " + l.PublicURL + "/webhook/trading-sweep"}, {"Broker", l.BrokerURL},
		{"Trading API", trading}, {"Messages", l.Messages}, {"Metrics", l.AdminURL + "/metrics"}, {"Data", l.DataDir}, {"Schedules", l.schedules.summary()},
	} {
		if line[1] == "" {
			continue
		}
		fmt.Fprintf(&b, "  %-12s %s\n", line[0], line[1])
	}
	return b.String()
}
