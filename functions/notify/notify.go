// Package notify is the last step: it notifies people of the end of a job, by Slack,
// by mail, or, if neither is configured, by a log line, and calls the address that the
// job's request named, if any. Each channel is notified once per job; JobNotified records
// it in the job store.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/creasty/defaults"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/notifyurl"
	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/transport"
)

// Config of the step. A channel whose first variable is not set is off; with
// all of them off the notification is logged.
type Config struct {
	// BaseURL is where people reach the jobs that messages link to.
	BaseURL string `envconfig:"WEBHOOK_BASE_URL" default:"http://localhost:8080"`
	// SlackWebhookURL is a Slack incoming webhook. It is a secret.
	SlackWebhookURL string `envconfig:"SLACK_WEBHOOK_URL"`
	// SMTPURL is the mail server, smtp://user:password@host:port or smtps://…, a secret. Its
	// query may say tls=starttls (the default where there is a user),
	// tls=opportunistic (the default otherwise), tls=none, or tls=implicit
	// (the default of smtps). The port is 587, or 465 for implicit TLS.
	SMTPURL string `envconfig:"SMTP_URL"`
	// EmailFrom is the sender of mails, required with SMTPURL.
	EmailFrom string `envconfig:"NOTIFY_EMAIL_FROM"`
	// EmailTo are the recipients of mails, comma between, required with SMTPURL.
	EmailTo []string `envconfig:"NOTIFY_EMAIL_TO"`
	// Timeout bounds one notification by one channel.
	Timeout time.Duration `envconfig:"NOTIFY_TIMEOUT" default:"10s"`
	// Keep is how long a sent notification is remembered. It must outlast redrives of
	// dead letters.
	Keep time.Duration `envconfig:"NOTIFY_KEEP" default:"168h"`
	// TemplateDir holds files that replace built-in templates of the same name.
	TemplateDir string `envconfig:"NOTIFY_TEMPLATE_DIR"`
	notifyurl.Config
	// NotifyURLSecret is what the keys are made of that calls of a notify_url are signed by,
	// one for each tenant (sweepline notify-key), 16 bytes at least. Required with
	// NOTIFY_URL_HOSTS. It is a secret.
	NotifyURLSecret string `envconfig:"NOTIFY_URL_SECRET"`
	// NotifyURLSecretOld is the one before: calls are signed by both until receivers have the
	// new key.
	NotifyURLSecretOld string `envconfig:"NOTIFY_URL_SECRET_OLD"`
}

// Guard is what notify needs of shared/once: claims on sending a notification. An
// expired lease means that its owner died: then the notification is sent again, since
// it is unknown whether it was sent, and the claim is once.Again.
type Guard interface {
	ClaimNoted(ctx context.Context, key string, lease time.Duration) (c once.Claim, note string, err error)
	MarkDone(ctx context.Context, key, note string, keep time.Duration) error
	Release(ctx context.Context, key string) error
	Ping(ctx context.Context) error
}

// Sender sends events to the broker; a nil error means that it has stored all of them.
type Sender interface {
	Send(ctx context.Context, events ...cloudevents.Event) error
}

// channel sends notifications. An error means that the notification was not sent.
type channel interface {
	name() string
	// pictured says that it shows the heat map.
	pictured() bool
	send(ctx context.Context, m message) error
}

// Function is the step.
type Function struct {
	cfg      Config
	guard    Guard
	sender   Sender
	channels []channel
	url      *urlChannel // of jobs that have an address
	now      func() time.Time
	close    func() error
	rows     Rows
	log      *slog.Logger
	sent     *prometheus.CounterVec
	// drawing is held while a picture is made: one at a time takes little memory.
	drawing chan struct{}
}

// Option changes how New builds the step.
type Option func(*options)

type options struct {
	log  *slog.Logger
	now  func() time.Time
	rows Rows
	box  Mailbox
	reg  prometheus.Registerer
}

// WithLog sets where the log channel writes; the default is slog's.
func WithLog(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// WithClock sets the time that notifications carry.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// WithRows sets where the rows of the heat map come from. Without it messages
// have none.
func WithRows(r Rows) Option { return func(o *options) { o.rows = r } }

// WithMailbox keeps what Slack and mail would have shown where neither is set up.
func WithMailbox(b Mailbox) Option { return func(o *options) { o.box = b } }

// WithMetrics sets where the step counts; the default is nowhere.
func WithMetrics(reg prometheus.Registerer) Option { return func(o *options) { o.reg = reg } }

// New checks the configuration, naming each variable that is wrong but never
// its value, and reads and tries the templates; it does no other I/O. The caller
// closes what it hands in.
func New(cfg Config, g Guard, s Sender, opts ...Option) (*Function, error) {
	if g == nil || s == nil {
		return nil, errors.New("notify: guard and sender are required")
	}
	o := options{log: slog.Default(), now: time.Now, reg: prometheus.NewRegistry()}
	for _, opt := range opts {
		opt(&o)
	}
	defaults.MustSet(&cfg)
	var errs []error
	if _, err := transport.ParseBase(cfg.BaseURL); err != nil {
		errs = append(errs, fmt.Errorf("WEBHOOK_BASE_URL %w", err))
	}
	if cfg.Timeout < 0 || cfg.Keep < 0 {
		errs = append(errs, errors.New("NOTIFY_TIMEOUT and NOTIFY_KEEP must not be negative"))
	}
	f := &Function{
		cfg: cfg, guard: g, sender: s, now: o.now,
		close: func() error { return nil }, rows: o.rows, log: o.log, sent: newCounter(o.reg), drawing: make(chan struct{}, 1),
	}
	t, err := loadTemplates(cfg.TemplateDir, o.log)
	errs = append(errs, err)
	if cfg.SlackWebhookURL != "" {
		c, err := newSlack(cfg, t)
		f.channels, errs = append(f.channels, c), append(errs, err)
	}
	if cfg.SMTPURL != "" {
		c, err := newMail(cfg, t)
		f.channels, errs = append(f.channels, c), append(errs, err)
	}
	f.url, err = newURL(cfg, g, o.now)
	errs = append(errs, err)
	if len(f.channels) == 0 {
		f.channels = []channel{logLine{o.log, o.box, t, f.described, f.picture}}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return f, nil
}

// Handle notifies every channel that has not been notified yet. An error means that
// some are left: the broker redelivers the event, and only those are notified then. It
// is a sink.Unavailable (503) while one of them is unavailable, for however long (but see
// urlPatience), and a plain error (500) if all that are left refuse the message. An invalid
// event is rejected (422).
func (f *Function) Handle(ctx context.Context, e cloudevents.Event) (*cloudevents.Event, error) {
	d, err := read(e)
	if err != nil {
		return nil, cehttp.NewResult(http.StatusUnprocessableEntity, "%w", err)
	}
	m := newMessage(d.Job, f.cfg.BaseURL)
	var errs []error
	var notified []event.Notified
	channels := f.channels
	if m.Job.NotifyURL != "" { // last, so that nobody waits for it
		channels = append(slices.Clip(channels), f.url)
	}
	for _, c := range channels {
		if slices.Contains(d.Notified, c.name()) {
			continue
		}
		done, err := f.once(ctx, e, c, m)
		if err != nil {
			errs = append(errs, fmt.Errorf("notify %s of job %s: %w", c.name(), m.Job.JobID, err))
			continue
		}
		notified = append(notified, event.Notified{Channel: c.name(), NotifiedAt: done.at, Again: done.again, Error: done.failed})
	}
	if err := f.report(ctx, e, m.Job, notified, len(errs)); err != nil {
		errs = append(errs, fmt.Errorf("report notifications of job %s: %w", m.Job.JobID, err))
	}
	return nil, errors.Join(errs...)
}

// report sends an event for each channel that was notified. left is how many could not
// be notified yet: until an event reports 0, the notification of the end counts as
// missing, whatever becomes of the event that is being handled.
func (f *Function) report(ctx context.Context, e cloudevents.Event, j job.Job, notified []event.Notified, left int) error {
	events := make([]cloudevents.Event, 0, len(notified))
	for _, t := range notified {
		t.Header = j.Header()
		t.Left = left
		n, err := event.NewNotified(t)
		if err != nil {
			return err
		}
		event.CopyTrace(e, &n)
		events = append(events, n)
	}
	return f.sender.Send(ctx, events...)
}

// read checks what messages are made of; all else in them is text.
func read(e cloudevents.Event) (event.Finished, error) {
	if e.Type() != event.JobCompleted && e.Type() != event.JobFailed {
		return event.Finished{}, fmt.Errorf("event %s has unexpected type %s", e.ID(), e.Type())
	}
	d, err := event.Data[event.Finished](e)
	if err != nil {
		return event.Finished{}, err
	}
	j := d.Job
	switch {
	case !job.ValidID(j.JobID) || e.Subject() != j.JobID || j.TenantID == "":
		return event.Finished{}, fmt.Errorf("event %s has no valid job id or tenant", e.ID())
	case (j.Status == job.Completed) != (e.Type() == event.JobCompleted) || !j.Status.Terminal():
		return event.Finished{}, fmt.Errorf("event %s does not match job status %s", e.ID(), j.Status)
	}
	return d, j.Parameters.Validate()
}

// notification is when a channel was notified, and whether that may have been a repeat; or
// when and why it was given up.
type notification struct {
	at     time.Time
	again  bool
	failed string
}

// note is how a notification is kept with its claim, so that what is reported of it
// while another channel is unavailable, for hours perhaps, is one event all the time,
// and dropped as a duplicate.
func (n notification) note() string {
	text := n.at.Format(time.RFC3339Nano)
	if n.again {
		text += " again"
	}
	if n.failed != "" {
		text += " failed " + n.failed
	}
	return text
}

// readNote is false for what is no note.
func readNote(text string) (notification, bool) {
	text, failed, _ := strings.Cut(text, " failed ")
	at, again := strings.CutSuffix(text, " again")
	t, err := time.Parse(time.RFC3339Nano, at)
	return notification{t.UTC(), again, failed}, err == nil
}

// once notifies one channel, unless that is done. The claim is marked done before the
// event is sent, so that an unavailable broker causes no second message; the event is
// sent again instead, and dropped as a duplicate.
func (f *Function) once(ctx context.Context, e cloudevents.Event, c channel, m message) (notification, error) {
	id, _ := event.Original(e.ID()) // a resent event is about the same end
	key := "notify/" + id + "/" + c.name()
	claimed := time.Now()
	claim, note, err := f.guard.ClaimNoted(ctx, key, f.lease())
	switch {
	case err != nil:
		return notification{}, unavailable(fmt.Errorf("claim: %w", err), pause)
	case claim == once.Held:
		return notification{}, &sink.Unavailable{RetryAfter: f.cfg.Timeout, Err: errors.New("another delivery holds the claim")}
	case claim == once.Won || claim == once.Again:
		done, err := f.send(ctx, c, m, key, claimed, claim == once.Again)
		if err != nil || done.failed != "" {
			f.sent.WithLabelValues(c.name(), outcomeFailed).Inc()
			return done, err
		}
		f.sent.WithLabelValues(c.name(), outcomeOf(claim)).Inc()
		return done, nil
	}
	if done, ok := readNote(note); ok {
		return done, nil
	}
	return notification{at: f.now().UTC()}, nil // of a version that noted nothing
}

// lease is how long a claim is held: for sending, and for marking it done.
func (f *Function) lease() time.Duration { return 3 * f.cfg.Timeout }

// send sends one notification under the claim on key. If it was not sent the claim is
// released at once; if that is unknown the claim stays until its lease ends, so that
// the next attempt knows that it may be the second notification.
func (f *Function) send(ctx context.Context, c channel, m message, key string, claimed time.Time, again bool) (notification, error) {
	// The claim must be settled even if the broker has closed the request.
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.cfg.Timeout*5/2)
	defer cancel()
	sending, done := context.WithTimeout(ctx, f.cfg.Timeout)
	defer done()
	if c.pictured() {
		m.Picture = f.picture(sending, m.Job)
	}
	// A process that stood still must find out here, and not from a timer that has yet to
	// fire: its claim may have ended, and another be sending.
	if time.Since(claimed) > f.lease()/2 {
		return notification{}, unavailable(errors.New("the claim may have ended"), f.lease())
	}
	sending, span := telemetry.Span(sending, "notify "+c.name(), trace.SpanKindClient, attribute.Bool("picture", m.Picture != nil))
	err := c.send(sending, m)
	telemetry.End(span, err)
	n := notification{at: f.now().UTC(), again: again}
	var lost *undelivered
	switch {
	case errors.As(err, &lost): // that is the outcome
		n.failed = lost.reason
		f.log.WarnContext(ctx, "notification given up", "channel", c.name(), "job_id", m.Job.JobID, "tenant_id", m.Job.TenantID, "error", err)
	case isUncertain(err):
		return notification{}, unavailable(err, f.lease())
	case err != nil:
		return notification{}, errors.Join(err, f.guard.Release(settle, key))
	}
	if err := f.mark(settle, key, n); err != nil {
		return notification{}, unavailable(fmt.Errorf("mark as sent: %w", err), f.lease())
	}
	return n, nil
}

// markPause is the delay before a failed mark is retried.
const markPause = 200 * time.Millisecond

// mark marks the claim done. It retries while the claim holds: without the mark the
// channel would be notified twice.
func (f *Function) mark(ctx context.Context, key string, n notification) error {
	for {
		err := f.guard.MarkDone(ctx, key, n.note(), f.cfg.Keep)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(markPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// Ready reports whether Redis, which keeps the claims, answers. Slack and the
// mail server are not asked: a notification can wait.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	return function.Check(ctx, map[string]func(context.Context) error{"Redis": f.guard.Ping})
}

// Stop frees what FromEnv opened.
func (f *Function) Stop(context.Context) error { return f.close() }
