package notify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/notify"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/sink"
)

var (
	created = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now     = created.Add(time.Hour)
)

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func completed(t testing.TB) cloudevents.Event {
	t.Helper()
	end, seconds := created.Add(90*time.Second), 90.0
	return finished(t, job.Job{
		JobID: job.NewID(), TenantID: "acme", JobType: job.Type, Status: job.Completed, Ticker: "DAX", Attempts: 1, Progress: 100,
		Parameters: job.Sweep{Ticker: "DAX", FastRange: [2]int{5, 20}, SlowRange: [2]int{10, 50}, Step: 5, MinTrades: 50, StrategyType: job.SMA},
		CreatedAt:  created, CompletedAt: &end, DurationSeconds: &seconds, SweepRunID: "run-1",
		Metrics: &job.Metrics{Combinations: 1234, BestScore: 1.5},
		Results: []job.Row{{Ticker: "DAX", StrategyType: job.SMA, FastPeriod: 10, SlowPeriod: 42, Score: 1.5, SharpeRatio: 0.75, TotalReturnPct: 123.456, TotalTrades: 61}},
	})
}

func failed(t testing.TB, message string) cloudevents.Event {
	t.Helper()
	d, err := event.Data[event.Finished](completed(t))
	require.NoError(t, err)
	d.Job.Status, d.Job.ErrorCode, d.Job.ErrorMessage, d.Job.Metrics, d.Job.Results = job.Failed, job.SweepFailed, message, nil, []job.Row{}
	return finished(t, d.Job)
}

func finished(t testing.TB, j job.Job) cloudevents.Event {
	t.Helper()
	e, err := event.NewFinished(j)
	require.NoError(t, err)
	e.SetExtension(event.ExtTraceParent, traceParent)
	return e
}

type bundle struct {
	*notify.Function
	guard  *memory
	broker *broker
	log    *bytes.Buffer
}

func setup(t *testing.T, change func(*notify.Config)) bundle {
	t.Helper()
	cfg := notify.Config{BaseURL: "https://sweeps.example/", EmailFrom: "Sweepline <robot@example.com>", EmailTo: []string{"a@example.com", " B <b@example.com>"}, Timeout: 5 * time.Second, Keep: time.Hour}
	change(&cfg)
	b := bundle{guard: &memory{state: map[string]once.Claim{}}, broker: &broker{}, log: &bytes.Buffer{}}
	var err error
	b.Function, err = notify.New(cfg, b.guard, b.broker,
		notify.WithLog(slog.New(slog.NewJSONHandler(b.log, nil))), notify.WithClock(func() time.Time { return now }))
	require.NoError(t, err)
	return b
}

func TestWithoutChannelsItLogs(t *testing.T) {
	t.Parallel()
	b := setup(t, func(*notify.Config) {})
	e := completed(t)
	for range 3 { // the broker may give it again
		reply, err := b.Handle(t.Context(), e)
		require.NoError(t, err)
		require.Nil(t, reply)
	}
	var line map[string]any
	require.NoError(t, json.Unmarshal(b.log.Bytes(), &line), "one line: %s", b.log)
	require.Equal(t, "Notification", line["msg"])
	require.Equal(t, e.Subject(), line["job_id"])
	require.Equal(t, "SMA sweep of DAX completed", line["text"])
	require.Equal(t, "https://sweeps.example/jobs/"+e.Subject(), line["link"])

	notified := b.broker.events[0]
	require.Equal(t, event.JobNotified, notified.Type())
	require.Equal(t, e.Subject()+"/notified/log", notified.ID())
	require.Equal(t, traceParent, notified.Extensions()[event.ExtTraceParent])
	d, err := event.Data[event.Notified](notified)
	require.NoError(t, err)
	require.Equal(t, "log", d.Channel)
	require.Equal(t, now, d.NotifiedAt)
	require.Equal(t, "acme", d.TenantID)
}

func TestSlack(t *testing.T) {
	t.Parallel()
	sender := newSlackSink(t)
	b := setup(t, func(c *notify.Config) { c.SlackWebhookURL = sender.url })
	e := completed(t)
	for range 2 {
		_, err := b.Handle(t.Context(), e)
		require.NoError(t, err)
	}
	require.Len(t, sender.got(), 1)
	require.Empty(t, b.log.String())
	body := string(sender.got()[0])
	var m struct {
		Text   string
		Blocks []map[string]any
	}
	require.NoError(t, json.Unmarshal(sender.got()[0], &m))
	link := "https://sweeps.example/jobs/" + e.Subject()
	require.Equal(t, "SMA sweep of DAX completed "+link, m.Text)
	require.Equal(t, "header", m.Blocks[0]["type"])
	for _, want := range []string{`"url":"` + link + `"`, `"metadata":{"event_type":"sweep_completed","event_payload":{"job_id":"` + e.Subject() + `"}}`, "1234 combinations", "Best score 1.50", "Took 1m30s", "    10    42     1.50     0.75    123.46      61"} {
		require.Contains(t, body, want)
	}
	require.Equal(t, []string{"slack", "slack"}, b.broker.channels(t))
	require.Equal(t, b.broker.events[0].ID(), b.broker.events[1].ID(), "the second is no repeat")
}

// A message on results from made-up prices says so in every form of it, and in what a
// phone shows; the others say what they were computed on.
func TestMessagesSayWhatWasComputedOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		metrics job.Metrics
		subject string
		says    []string
	}{
		"made up": {job.Metrics{Synthetic: true, Data: &job.Data{Source: "synthetic", Bars: 2520}}, "SMA sweep of DAX completed on made-up prices",
			[]string{"Prices: made up (2520 bars). They are not those of DAX"}},
		"real": {job.Metrics{Data: &job.Data{Source: "DAX.csv", FirstDay: "2020-01-02", LastDay: "2024-12-30", Bars: 1250}}, "SMA sweep of DAX completed",
			[]string{"Prices: DAX.csv, 2020-01-02 to 2024-12-30, 1250 bars"}},
		"untold": {job.Metrics{}, "SMA sweep of DAX completed", []string{"Prices: unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender, office := newSlackSink(t), newPostOffice(t, false)
			b := setup(t, func(cfg *notify.Config) { cfg.SlackWebhookURL, cfg.SMTPURL = sender.url, "smtp://"+office.addr })
			d, err := event.Data[event.Finished](completed(t))
			require.NoError(t, err)
			c.metrics.Combinations, c.metrics.BestScore = 1234, 1.5
			d.Job.Metrics = &c.metrics
			_, err = b.Handle(t.Context(), finished(t, d.Job))
			require.NoError(t, err)
			m := office.got()[0].read(t)
			require.Equal(t, c.subject, m.Header.Get("Subject"))
			parts := partsOf(t, m.Header.Get("Content-Type"), m.Body)
			var posted struct{ Text string }
			require.NoError(t, json.Unmarshal(sender.got()[0], &posted))
			require.True(t, strings.HasPrefix(posted.Text, c.subject+" http"), posted.Text)
			for _, want := range c.says {
				for _, text := range []string{string(sender.got()[0]), parts["text/plain"], parts["text/html"]} {
					require.Contains(t, text, want)
				}
			}
		})
	}
}

func TestSlackTakesHostileTextAsText(t *testing.T) {
	t.Parallel()
	sender := newSlackSink(t)
	b := setup(t, func(c *notify.Config) { c.SlackWebhookURL = sender.url })
	_, err := b.Handle(t.Context(), failed(t, "<!channel> <https://evil.example|click>\n```"+strings.Repeat("x", 5000)))
	require.NoError(t, err)
	var m struct {
		Blocks []struct {
			Text *struct{ Type, Text string }
		}
	}
	require.NoError(t, json.Unmarshal(sender.got()[0], &m))
	text := m.Blocks[2].Text
	require.Equal(t, "plain_text", text.Type)
	require.True(t, strings.HasPrefix(text.Text, "<!channel> <https://evil.example|click> ```xxx"))
	require.Less(t, len(text.Text), 600)
}

func TestASlackThatFailsIsRetried(t *testing.T) {
	t.Parallel()
	sender := newSlackSink(t)
	b := setup(t, func(c *notify.Config) { c.SlackWebhookURL = sender.url })
	e := completed(t)
	for _, status := range []int{http.StatusInternalServerError, http.StatusNotFound, http.StatusFound} {
		sender.answer(status)
		_, err := b.Handle(t.Context(), e)
		require.Error(t, err)
		require.False(t, rejected(err))
		require.NotContains(t, err.Error(), "secret-token")
	}
	sender.header.Set("Retry-After", "2")
	sender.answer(http.StatusTooManyRequests)
	_, err := b.Handle(t.Context(), e)
	var later *sink.Unavailable
	require.ErrorAs(t, err, &later)
	require.Equal(t, 2*time.Second, later.RetryAfter)
	require.Empty(t, b.broker.events)
	sender.answer(http.StatusOK)
	asked := sender.requests()
	_, err = b.Handle(t.Context(), completed(t))
	require.ErrorAs(t, err, &later)
	require.Equal(t, asked, sender.requests(), "a request of another job, too, is too many")
	require.Eventually(t, func() bool {
		_, err := b.Handle(t.Context(), e)
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	require.Len(t, sender.got(), 1)
}

func TestTheWebhookIsNotTold(t *testing.T) {
	t.Parallel()
	for _, webhook := range []string{"http://127.0.0.1:1/services/secret-token", "http://secret-token.invalid:1/x"} {
		b := setup(t, func(c *notify.Config) { c.SlackWebhookURL = webhook })
		_, err := b.Handle(t.Context(), completed(t))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "/services/secret-token")
	}
}

func TestMail(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t, false)
	b := setup(t, func(c *notify.Config) { c.SMTPURL = "smtp://" + office.addr })
	e := completed(t)
	for range 2 {
		_, err := b.Handle(t.Context(), e)
		require.NoError(t, err)
	}
	require.Len(t, office.got(), 1)
	l := office.got()[0]
	require.Equal(t, "robot@example.com", l.from)
	require.Equal(t, []string{"a@example.com", "b@example.com"}, l.to)
	m := l.read(t)
	require.Equal(t, "SMA sweep of DAX completed", m.Header.Get("Subject"))
	require.Equal(t, "<"+e.Subject()+".ended@example.com>", m.Header.Get("Message-ID"))
	require.Equal(t, "auto-generated", m.Header.Get("Auto-Submitted"))
	parts := partsOf(t, m.Header.Get("Content-Type"), m.Body)
	require.Len(t, parts, 2)
	for _, part := range parts {
		for _, want := range []string{"https://sweeps.example/jobs/" + e.Subject(), "1234 combinations", "1m30s", "123.46", "fast 5 to 20, slow 10 to 50, step 5"} {
			require.Contains(t, part, want)
		}
	}
	require.Contains(t, parts["text/html"], "<td>42</td>")
	require.Equal(t, []string{"email", "email"}, b.broker.channels(t))
}

func partsOf(t *testing.T, contentType string, body io.Reader) map[string]string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	parts := map[string]string{}
	for r := multipart.NewReader(body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return parts
		}
		require.NoError(t, err)
		require.Equal(t, "quoted-printable", p.Header.Get("Content-Transfer-Encoding"))
		text, err := io.ReadAll(quotedprintable.NewReader(p))
		require.NoError(t, err)
		kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		require.NoError(t, err)
		parts[kind] = string(text)
	}
}

func TestMailOfAFailure(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t, false)
	b := setup(t, func(c *notify.Config) { c.SMTPURL = "smtp://" + office.addr + "?tls=none" })
	_, err := b.Handle(t.Context(), failed(t, "<script>alert(1)</script>\r\nBcc: x@example.com\r\n.\r\n"))
	require.NoError(t, err)
	l := office.got()[0]
	require.Len(t, l.to, 2)
	m := l.read(t)
	require.Equal(t, "SMA sweep of DAX failed: the sweep failed", m.Header.Get("Subject"))
	require.Empty(t, m.Header.Get("Bcc"))
	parts := partsOf(t, m.Header.Get("Content-Type"), m.Body)
	require.Contains(t, parts["text/plain"], "<script>alert(1)</script> Bcc: x@example.com .")
	require.NotContains(t, parts["text/html"], "<script>")
	require.Contains(t, parts["text/html"], "&lt;script&gt;")
}

func TestMailWithTLSAndPassword(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t, true)
	b := setup(t, func(c *notify.Config) { c.SMTPURL = "smtp://robot:p%40ss%20word@" + office.addr })
	_, err := b.Handle(t.Context(), completed(t))
	require.Error(t, err, "a certificate of an unknown authority was believed")
	require.NotContains(t, err.Error(), "p@ss word")
	b.Trust(office.root)
	_, err = b.Handle(t.Context(), completed(t))
	require.NoError(t, err)
	require.True(t, office.got()[0].tls)
	require.Equal(t, "robot", office.got()[0].user)

	wrong := setup(t, func(c *notify.Config) { c.SMTPURL = "smtp://robot:wrong-secret@" + office.addr })
	wrong.Trust(office.root)
	_, err = wrong.Handle(t.Context(), completed(t))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "wrong-secret")

	plain := newPostOffice(t, false)
	downgraded := setup(t, func(c *notify.Config) { c.SMTPURL = "smtp://robot:p%40ss%20word@" + plain.addr })
	_, err = downgraded.Handle(t.Context(), completed(t))
	require.Error(t, err, "the password went over the wire in the clear")
	require.Empty(t, plain.got())
}

func TestAMailServerThatHangs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	b := setup(t, func(c *notify.Config) { c.SMTPURL, c.Timeout = "smtp://"+l.Addr().String(), 200*time.Millisecond })
	began := time.Now()
	_, err = b.Handle(t.Context(), completed(t))
	require.Error(t, err)
	require.Less(t, time.Since(began), 3*time.Second)
}

func TestOneChannelDoesNotHoldUpTheOther(t *testing.T) {
	t.Parallel()
	sender, office := newSlackSink(t), newPostOffice(t, false)
	b := setup(t, func(c *notify.Config) { c.SlackWebhookURL, c.SMTPURL = sender.url, "smtp://"+office.addr })
	e := completed(t)
	office.refuseWith(&smtp.SMTPError{Code: 451, Message: "later"})
	_, err := b.Handle(t.Context(), e)
	require.ErrorContains(t, err, "email")
	require.NotContains(t, err.Error(), "slack")
	require.Equal(t, []int{1}, b.broker.left(t), "the end is not known to all")
	office.refuseWith(nil)
	sender.answer(http.StatusInternalServerError) // would fail if it were sent again
	_, err = b.Handle(t.Context(), e)
	require.NoError(t, err)
	require.Len(t, sender.got(), 1)
	require.Len(t, office.got(), 1)
	require.Equal(t, []int{1, 0, 0}, b.broker.left(t), "all know of it, whichever note is a repeat")
}

// TestTheGuardForgetsWhoWasTold: Redis came back empty while mail was away, and the
// event comes again with what the job store knows.
func TestTheGuardForgetsWhoWasTold(t *testing.T) {
	t.Parallel()
	sender, office := newSlackSink(t), newPostOffice(t, false)
	b := setup(t, func(c *notify.Config) { c.SlackWebhookURL, c.SMTPURL = sender.url, "smtp://"+office.addr })
	d, err := event.Data[event.Finished](completed(t))
	require.NoError(t, err)
	e, err := event.NewFinished(d.Job, "slack")
	require.NoError(t, err)
	_, err = b.Handle(t.Context(), e)
	require.NoError(t, err)
	require.Empty(t, sender.got())
	require.Len(t, office.got(), 1)
	require.Equal(t, []string{"email"}, b.broker.channels(t))
	require.Equal(t, []int{0}, b.broker.left(t))
}

func TestABrokerThatIsAwayCostsNoSecondMessage(t *testing.T) {
	t.Parallel()
	sender := newSlackSink(t)
	b := setup(t, func(c *notify.Config) { c.SlackWebhookURL = sender.url })
	e := completed(t)
	b.broker.err = &sink.Unavailable{RetryAfter: time.Second, Err: errAway}
	_, err := b.Handle(t.Context(), e)
	require.ErrorIs(t, err, errAway)
	b.broker.err = nil
	_, err = b.Handle(t.Context(), e)
	require.NoError(t, err)
	require.Len(t, sender.got(), 1)
	require.Equal(t, []string{"slack"}, b.broker.channels(t))
}

func TestAGuardThatIsAway(t *testing.T) {
	t.Parallel()
	sender := newSlackSink(t)
	b := setup(t, func(c *notify.Config) { c.SlackWebhookURL = sender.url })
	b.guard.fail = errAway
	_, err := b.Handle(t.Context(), completed(t))
	require.ErrorIs(t, err, errAway)
	require.Empty(t, sender.got(), "sent without a claim")
}

func TestManyDeliveriesAtOnce(t *testing.T) {
	t.Parallel()
	sender := newSlackSink(t)
	b := setup(t, func(c *notify.Config) { c.SlackWebhookURL = sender.url })
	e := completed(t)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			_, err := b.Handle(t.Context(), e)
			var later *sink.Unavailable
			if err != nil && !errors.As(err, &later) {
				t.Errorf("handle: %v", err)
			}
		})
	}
	wg.Wait()
	require.Len(t, sender.got(), 1)
}

func rejected(err error) bool {
	var r *cehttp.Result
	return protocol.ResultAs(err, &r) && r.StatusCode == http.StatusUnprocessableEntity
}

func TestUnreadableEventsAreRejected(t *testing.T) {
	t.Parallel()
	b := setup(t, func(*notify.Config) {})
	for name, spoil := range map[string]func(*cloudevents.Event){
		"type":    func(e *cloudevents.Event) { e.SetType(event.SweepCompleted) },
		"data":    func(e *cloudevents.Event) { require.NoError(t, e.SetData("text/plain", "x")) },
		"empty":   func(e *cloudevents.Event) { require.NoError(t, e.SetData("application/json", event.Finished{})) },
		"subject": func(e *cloudevents.Event) { e.SetSubject(job.NewID()) },
		"state":   func(e *cloudevents.Event) { e.SetType(event.JobFailed) },
	} {
		e := completed(t)
		spoil(&e)
		_, err := b.Handle(t.Context(), e)
		require.True(t, rejected(err), "%s: %v", name, err)
	}
	require.Empty(t, b.log.String())
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := notify.Config{BaseURL: "http://localhost:8080", Timeout: 1, Keep: 1}
	for want, change := range map[string]func(*notify.Config){
		"WEBHOOK_BASE_URL":       func(c *notify.Config) { c.BaseURL = "/secret" },
		"WEBHOOK_BASE_URL must":  func(c *notify.Config) { c.BaseURL = "http://localhost/?secret" },
		"NOTIFY_TIMEOUT":         func(c *notify.Config) { c.Timeout = -1 },
		"SLACK_WEBHOOK_URL":      func(c *notify.Config) { c.SlackWebhookURL = "hooks.slack.com/secret" },
		"NOTIFY_EMAIL_FROM":      func(c *notify.Config) { c.SMTPURL, c.EmailTo = "smtp://h", []string{"a@example.com"} },
		"NOTIFY_EMAIL_TO":        func(c *notify.Config) { c.SMTPURL, c.EmailFrom = "smtp://h", "a@example.com" },
		"SMTP_URL must":          func(c *notify.Config) { mailTo(c); c.SMTPURL = "smtp://u:secret@h:port\x7f" },
		"SMTP_URL must have":     func(c *notify.Config) { mailTo(c); c.SMTPURL = "h:25/secret" },
		"SMTP_URL: tls":          func(c *notify.Config) { mailTo(c); c.SMTPURL = "smtp://u:secret@h?tls=maybe" },
		"SMTP_URL: invalid port": func(c *notify.Config) { mailTo(c); c.SMTPURL = "smtp://u:secret@h:99999" },
	} {
		cfg := good
		change(&cfg)
		_, err := notify.New(cfg, &memory{}, &broker{})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret", fmt.Sprint(want))
	}
	_, err := notify.New(good, nil, &broker{})
	require.Error(t, err)
	_, err = notify.New(good, &memory{}, nil)
	require.Error(t, err)
}

func TestFromEnv(t *testing.T) {
	t.Setenv("REDIS_URL", servertest.Miniredis(t))
	t.Setenv("K_SINK", "http://127.0.0.1:1")
	t.Setenv("EVENT_SEAL_KEY", "0123456789abcdef")
	t.Setenv("SMTP_URL", "smtp://127.0.0.1:1")
	_, err := notify.FromEnv(t.Context())
	require.ErrorContains(t, err, "NOTIFY_EMAIL_FROM")
	t.Setenv("NOTIFY_EMAIL_FROM", "a@example.com")
	t.Setenv("NOTIFY_EMAIL_TO", "b@example.com, C <c@example.com>")
	f, err := notify.FromEnv(t.Context())
	require.NoError(t, err)
	require.NoError(t, f.Stop(t.Context()))
	t.Setenv("DATABASE_URL", "postgres://127.0.0.1:1/down") // it costs the picture, not the start
	f, err = notify.FromEnv(t.Context())
	require.NoError(t, err)
	require.NoError(t, f.Stop(t.Context()))
	t.Setenv("DATABASE_URL", "postgres://secret@%zz")
	_, err = notify.FromEnv(t.Context())
	require.ErrorContains(t, err, "DATABASE_URL")
	require.NotContains(t, err.Error(), "secret")
	t.Setenv("DATABASE_URL", "")
	t.Setenv("K_SINK", "")
	_, err = notify.FromEnv(t.Context())
	require.ErrorContains(t, err, "K_SINK")
}

func TestMain(m *testing.M) { servertest.Main(m) }

func mailTo(c *notify.Config) { c.EmailFrom, c.EmailTo = "a@example.com", []string{"b@example.com"} }
