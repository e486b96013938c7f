package runner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/zixly/sweepline/functions"
	"github.com/zixly/sweepline/functions/api"
	"github.com/zixly/sweepline/functions/callback"
	"github.com/zixly/sweepline/functions/collect"
	"github.com/zixly/sweepline/functions/dashboard"
	"github.com/zixly/sweepline/functions/notify"
	"github.com/zixly/sweepline/functions/receive"
	"github.com/zixly/sweepline/functions/store"
	"github.com/zixly/sweepline/functions/submit"
	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/mailbox"
	"github.com/zixly/sweepline/shared/notifyurl"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/restore"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// step is a function on a loopback port of its own.
type step struct {
	name    string
	fn      any
	at      *endpoint
	handler http.Handler
}

// starter and stopper are what Knative's function runtime calls, too.
type (
	starter interface {
		Start(ctx context.Context, cfg map[string]string) error
	}
	stopper interface {
		Stop(ctx context.Context) error
	}
)

// drain ends streams, so that the public port can close.
func (s *step) drain() {
	if d, ok := s.fn.(function.Drainer); ok {
		d.Drain()
	}
}

// stop ends what the step does by itself. It still answers.
func (s *step) stop(ctx context.Context) error {
	if f, ok := s.fn.(stopper); ok {
		return f.Stop(ctx)
	}
	return nil
}

// handler gives a step's handler by its name.
func (l *Local) handler(name string) http.Handler {
	for _, s := range l.steps {
		if s.name == name {
			return s.handler
		}
	}
	return http.NotFoundHandler()
}

// startSteps makes every function from the environment, as its own process
// does, and serves it. The steps share clients, since they share the process.
func (l *Local) startSteps(ctx context.Context, cfg Config) error {
	fns, err := l.functions(ctx, cfg)
	if err != nil {
		return err
	}
	for name := range functions.Names() {
		s := &step{name: name, fn: fns[name]}
		tracer, err := l.traces.Service(ctx, name)
		if err != nil {
			return err
		}
		if s.handler, err = function.Handler(name, s.fn, function.ProcessMetrics(), function.WithSeals(l.Seals)); err != nil {
			return err
		}
		s.handler = function.Traced(s.handler, tracer)
		if s.at, err = listen(ctx, name, 0, ""); err != nil {
			return err
		}
		l.steps = append(l.steps, s)
		l.local.handle(s.at.host(), s.handler)
		l.group.Go(func() error { return s.at.serve(s.handler, l.hosts, l.log) })
		if f, ok := s.fn.(starter); ok && l.role != Receiver {
			if err := f.Start(telemetry.WithTracer(ctx, tracer), nil); err != nil {
				return fmt.Errorf("start %s: %w", name, err)
			}
		}
	}
	return nil
}

func (l *Local) functions(ctx context.Context, cfg Config) (map[string]any, error) {
	var (
		out           sink.Config
		waiting       wait.Config
		tradingConf   trading.Config
		tenants       auth.Config
		receiveConf   receive.Config
		submitConf    submit.Config
		callbackConf  callback.Config
		superviseConf supervise.Config
		reconcileConf supervise.ReconcileConfig
		collectConf   collect.Config
		notifyConf    notify.Config
		jobsConf      jobs.Config
		dashboardConf dashboard.Config
	)
	set := map[string]string{
		"K_SINK": l.BrokerURL, "REDIS_URL": l.stores.redisURL, "TRADING_API_URL": l.TradingURL,
		"WEBHOOK_BASE_URL": cfg.WebhookBaseURL, "CALLBACK_SECRET": cfg.CallbackSecret,
	}
	if err := function.LoadWith(set, &out, &waiting, &tradingConf, &tenants, &receiveConf, &submitConf, &callbackConf, &superviseConf, &reconcileConf,
		&collectConf, &notifyConf, &jobsConf, &dashboardConf); err != nil {
		return nil, err
	}
	if l.Simulated {
		// The simulator has none of the real API's limits: progress can be
		// watched closely, and lost callbacks are found soon.
		waiting.RequestsPerMinute = 0
		submitConf.ProgressEvery = time.Second
		superviseConf.ProgressEvery = time.Second
		superviseConf.PollMin = time.Second
	}
	metrics := function.ProcessMetrics()
	tenants.Loopback = true
	keys, err := auth.New(tenants)
	if err != nil {
		return nil, err
	}
	l.keys, l.LetIn = keys, keys.Admits()
	l.log.InfoContext(ctx, "authentication configured", "tenants", l.LetIn)
	sender, err := sink.New(out, sink.WithTransport(l.local), sink.WithSeals(l.Seals))
	if err != nil {
		return nil, err
	}
	accepted, err := sink.New(out, sink.WithTransport(l.local), sink.WithSeals(l.Seals), sink.OfAcceptedWork())
	if err != nil {
		return nil, err
	}
	client, err := redisclient.New(l.stores.redisURL)
	if err != nil {
		return nil, err
	}
	l.stores.close = append(l.stores.close, func() { _ = client.Close() })
	waits, err := wait.Open(ctx, waiting)
	if err != nil {
		return nil, err
	}
	l.stores.close = append(l.stores.close, func() { _ = waits.Close() })
	inspector, err := broker.NewInspector(client)
	if err != nil {
		return nil, err
	}
	tradingClient, err := trading.Open(tradingConf, waits, metrics)
	if err != nil {
		return nil, err
	}
	l.stores.close = append(l.stores.close, tradingClient.Close)
	in, err := enqueue.New(waits, sender, time.Now)
	if err != nil {
		return nil, err
	}
	l.enqueue = in
	lost, err := restore.New(l.stores.surveyor, waits, accepted)
	if err != nil {
		return nil, err
	}
	ownLost, err := restore.New(jobs.OwnJobs{Store: l.stores.reader}, waits, accepted)
	if err != nil {
		return nil, err
	}
	if _, isPostgres := l.stores.jobStore.(*postgres.Store); isPostgres && l.stores.reader == l.stores.jobStore && keys.Shares().Tenants > 1 {
		l.log.WarnContext(ctx, "pages are read with the login that writes: set DATABASE_READ_URL to one that only reads")
	}
	fns := map[string]any{}
	var errs []error
	add := func(name string, fn any, err error) {
		fns[name] = fn
		errs = append(errs, err)
	}
	if l.notifyURLs, err = notifyurl.New(notifyConf.Config); err != nil {
		return nil, err
	}
	f1, err := receive.FromDeps(receiveConf, waits, sender, keys)
	add("receive", f1, err)
	f2, err := submit.New(submitConf, waits, tradingClient)
	add("submit", f2, err)
	f3, err := callback.New(callbackConf, waits, tradingClient, accepted, metrics, callback.WithLost(lost))
	add("callback", f3, err)
	f8, err := collect.New(collectConf, l.stores.jobStore, tradingClient, collect.Paced(waits), l.log)
	add("collect", f8, err)
	f4, err := store.New(l.stores.jobStore, l.log)
	add("store", f4, err)
	notifyOptions := []notify.Option{notify.WithLog(l.log), notify.WithMetrics(metrics), notify.WithRows(l.stores.reader)}
	shown := dashboard.Deps{Trading: tradingClient}
	if notifyConf.SlackWebhookURL == "" && notifyConf.SMTPURL == "" { // what cannot be sent can be looked at
		box := &mailbox.Box{}
		notifyOptions, shown.Mailbox = append(notifyOptions, notify.WithMailbox(box)), box
	}
	l.Messages = messagesTo(notifyConf, l.PublicURL)
	var claims notify.Guard = waits
	if l.stores.embedded {
		if l.sending, err = openSending(l.DataDir, waits, notifyConf.Keep); err != nil {
			return nil, err
		}
		claims = l.sending
	}
	f5, err := notify.New(notifyConf, claims, accepted, notifyOptions...)
	add("notify", f5, err)
	if l.reconciler, err = supervise.NewReconciler(reconcileConf, l.stores.surveyor, waits, accepted, metrics); err != nil {
		return nil, err
	}
	f6, err := supervise.New(superviseConf, waits, tradingClient, accepted, metrics, supervise.WithReconciler(l.reconciler))
	add("supervise", f6, err)
	// Both read the same jobs, so they share what is counted and bounded for a process.
	read, err := jobs.New(jobsConf, jobs.Deps{Store: l.stores.reader, Waits: waits, Lost: ownLost, Enqueuer: in, DeadLetters: inspector, Keys: keys})
	if err != nil {
		return nil, err
	}
	f7, err := api.New(read)
	add("api", f7, err)
	f9, err := dashboard.New(dashboardConf, read, shown)
	add("dashboard", f9, err)
	return fns, errors.Join(errs...)
}

// messagesTo says where messages go, without what is secret of it.
func messagesTo(c notify.Config, public string) string {
	var to []string
	if c.SlackWebhookURL != "" {
		to = append(to, "Slack")
	}
	if c.SMTPURL != "" {
		to = append(to, "mail to "+strings.Join(c.EmailTo, ", "))
	}
	if len(to) == 0 {
		return public + "/mailbox  (SLACK_WEBHOOK_URL and SMTP_URL are not set)"
	}
	return strings.Join(to, "; ")
}
