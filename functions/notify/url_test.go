package notify_test

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/notify"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/notifyurl"
)

const secret, oldSecret = "a secret of 16 bytes at least", "and the one that was before it"

// receiver is the server of a job's owner.
type receiver struct {
	mu     sync.Mutex
	status int
	header http.Header
	calls  []http.Header
	bodies [][]byte
	url    string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusNoContent, header: http.Header{}}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.url = s.URL + "/hook?token=secret-token"
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls, r.bodies = append(r.calls, req.Header), append(r.bodies, body)
	for name := range r.header {
		w.Header().Set(name, r.header.Get(name))
	}
	if r.status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(r.status)
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) called() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls)
}

func withURL(t *testing.T, e cloudevents.Event, address string) cloudevents.Event {
	t.Helper()
	d, err := event.Data[event.Finished](e)
	require.NoError(t, err)
	d.Job.NotifyURL = address
	return finished(t, d.Job)
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func calling(t *testing.T, change func(*notify.Config), options ...notify.Option) (*notify.Function, *broker, *clock) {
	t.Helper()
	cfg := notify.Config{BaseURL: "http://localhost", Timeout: 2 * time.Second, Keep: time.Hour, NotifyURLSecret: secret}
	cfg.Hosts = []string{"127.0.0.1"}
	change(&cfg)
	sent, c := &broker{}, &clock{at: now}
	f, err := notify.New(cfg, claims(t), sent, append(options, notify.WithClock(c.now), notify.WithLog(jsonLog(&bytes.Buffer{})))...)
	require.NoError(t, err)
	return f, sent, c
}

// notes are what the timeline is told, by channel; of several of one channel the last.
func notes(t *testing.T, sent *broker) map[string]event.Notified {
	t.Helper()
	all := map[string]event.Notified{}
	for _, e := range sent.events {
		d, err := event.Data[event.Notified](e)
		require.NoError(t, err)
		all[d.Channel] = d
	}
	return all
}

func TestURL(t *testing.T) {
	t.Parallel()
	to, slack := newReceiver(t), newSlackSink(t)
	f, sent, _ := calling(t, func(c *notify.Config) { c.SlackWebhookURL, c.NotifyURLSecretOld = slack.url, oldSecret })
	e := withURL(t, completed(t), to.url)
	for _, again := range []cloudevents.Event{e, e, event.Again(e, 1)} {
		_, err := f.Handle(t.Context(), again)
		require.NoError(t, err)
	}
	require.Len(t, slack.got(), 1)
	require.Equal(t, 1, to.called(), "once for each job")
	require.Equal(t, []string{"slack", "url"}, sent.channels(t)[:2])
	require.Empty(t, notes(t, sent)["url"].Error)
	require.Zero(t, notes(t, sent)["slack"].Left)

	h, body := to.calls[0], to.bodies[0]
	require.Equal(t, "application/cloudevents+json", h.Get("Content-Type"))
	var got cloudevents.Event
	require.NoError(t, json.Unmarshal(body, &got))
	require.NoError(t, got.Validate())
	require.Equal(t, []string{event.JobCompleted, e.ID(), e.Source(), e.Subject(), event.SchemaURN(event.JobCompleted)},
		[]string{got.Type(), got.ID(), got.Source(), got.Subject(), got.DataSchema()})
	require.NotContains(t, got.Extensions(), "sweepseal")
	d, err := event.Data[event.Finished](got)
	require.NoError(t, err)
	want, err := event.Data[event.Finished](e)
	require.NoError(t, err)
	want.Job.Results = []job.Row{}
	require.Equal(t, want, d)

	// As a receiver verifies it.
	require.Equal(t, e.ID(), h.Get("Webhook-Id"))
	signatures := strings.Fields(h.Get("Webhook-Signature"))
	require.Len(t, signatures, 2)
	for i, s := range []string{secret, oldSecret} {
		keys, err := notifyurl.NewKeys(s, "")
		require.NoError(t, err)
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(keys.Of("acme"), "whsec_"))
		require.NoError(t, err)
		m := hmac.New(sha256.New, key)
		_, _ = io.WriteString(m, h.Get("Webhook-Id")+"."+h.Get("Webhook-Timestamp")+"."+string(body))
		require.Equal(t, "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)), signatures[i])
	}

	_, err = f.Handle(t.Context(), completed(t)) // of a job that has no address
	require.NoError(t, err)
	require.Equal(t, 1, to.called())
	_, err = f.Handle(t.Context(), withURL(t, failed(t, "no"), to.url))
	require.NoError(t, err)
	require.Contains(t, string(to.bodies[1]), event.JobFailed)
}

// A call that cannot succeed is an outcome: nothing is tried again, nobody is asked to look,
// and the timeline says so.
func TestAURLThatIsRefusedIsGivenUp(t *testing.T) {
	t.Parallel()
	elsewhere := newReceiver(t)
	for name, c := range map[string]struct {
		status int
		to     string // Location
		url    string
		hosts  []string
		want   string
		calls  int
	}{
		"refused":           {status: 404, want: "notify_url answered 404", calls: 1},
		"redirect":          {status: 307, want: "notify_url answered 307", calls: 1},
		"redirect nowhere":  {status: 302, to: "http://[::1/%zz", want: "notify_url answered 302", calls: 1},
		"other host":        {url: "https://example.com/", want: "notify_url is not allowed on this installation"},
		"other address":     {url: "http://127.0.0.2/", want: "notify_url is not allowed on this installation"},
		"no longer enabled": {hosts: []string{}, want: "notify_url is not allowed on this installation"},
		"no loopback":       {url: "http://169.254.169.254/latest", hosts: []string{"169.254.169.254"}, want: "notify_url is not allowed on this installation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to, slack, reg := newReceiver(t), newSlackSink(t), prometheus.NewRegistry()
			f, sent, _ := calling(t, func(cfg *notify.Config) {
				cfg.SlackWebhookURL = slack.url
				if c.hosts != nil {
					cfg.Hosts = c.hosts
				}
			}, notify.WithMetrics(reg))
			to.answer(c.status)
			to.header.Set("Location", cmp.Or(c.to, elsewhere.url))
			if c.url == "" {
				c.url = to.url
			}
			e := withURL(t, completed(t), c.url)
			for range 2 {
				_, err := f.Handle(t.Context(), e)
				require.NoError(t, err)
			}
			require.Equal(t, c.calls, to.called())
			require.Zero(t, elsewhere.called())
			require.Len(t, slack.got(), 1)
			n := notes(t, sent)
			require.Equal(t, c.want, n["url"].Error)
			require.Empty(t, n["slack"].Error)
			require.Zero(t, n["slack"].Left)
			require.Equal(t, sent.events[1].String(), sent.events[3].String(), "the second is no repeat")
			require.Equal(t, 1.0, counted(t, reg, "url", "failed"))
		})
	}
}

// A receiver that is away, or in trouble, is called again for some minutes. Others do not
// wait for it, and then it is given up.
func TestAURLThatFailsIsGivenUpInTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		want   string
	}{
		"503":       {503, "notify_url answered 503"},
		"429":       {429, "notify_url answered 429"},
		"no answer": {0, "notify_url did not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to, slack := newReceiver(t), newSlackSink(t)
			to.answer(c.status)
			f, sent, clock := calling(t, func(cfg *notify.Config) { cfg.SlackWebhookURL, cfg.Timeout = slack.url, 300*time.Millisecond })
			e := withURL(t, completed(t), to.url)
			_, err := f.Handle(t.Context(), e)
			absent(t, err)
			require.NotContains(t, err.Error(), "secret-token")
			require.Len(t, slack.got(), 1)
			require.Equal(t, 1, notes(t, sent)["slack"].Left)
			clock.pass(3 * time.Minute)
			_, err = f.Handle(t.Context(), e)
			absent(t, err)
			clock.pass(2 * time.Minute)
			require.Eventually(t, func() bool { // where no answer came the claim has to run out first
				_, err := f.Handle(t.Context(), e)
				return err == nil
			}, time.Minute, 20*time.Millisecond)
			calls := to.called()
			_, err = f.Handle(t.Context(), e)
			require.NoError(t, err)
			require.Equal(t, calls, to.called())
			require.Len(t, slack.got(), 1)
			n := notes(t, sent)
			require.Equal(t, c.want, n["url"].Error)
			require.Zero(t, n["url"].Left)
			require.Equal(t, c.status == 0, n["url"].Again)
		})
	}
}

// What fails for a moment is sent, and another job's receiver has its own time.
// Addresses that do not answer must not keep Slack from being told of other jobs.
func TestURLsThatHangLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	reached, let := make(chan struct{}, 100), make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		reached <- struct{}{}
		<-let
	}))
	t.Cleanup(hanging.Close)
	slack := newSlackSink(t)
	f, _, _ := calling(t, func(cfg *notify.Config) { cfg.SlackWebhookURL, cfg.Timeout = slack.url, time.Minute })
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { close(let) })
	for range notify.MostOfTenant {
		all.Go(func() { _, _ = f.Handle(t.Context(), withURL(t, completed(t), hanging.URL)) })
	}
	for range notify.MostOfTenant {
		<-reached
	}
	_, err := f.Handle(t.Context(), withURL(t, completed(t), hanging.URL))
	absent(t, err)
	require.ErrorContains(t, err, "other addresses are being called")
	require.Empty(t, reached)
	require.Len(t, slack.got(), notify.MostOfTenant+1, "people are told first")

	to := newReceiver(t)
	d, err := event.Data[event.Finished](completed(t))
	require.NoError(t, err)
	d.Job.TenantID, d.Job.NotifyURL = "globex", to.url
	_, err = f.Handle(t.Context(), finished(t, d.Job))
	require.NoError(t, err)
	require.Equal(t, 1, to.called(), "another tenant's is called meanwhile")
}

func TestAURLThatIsBack(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	f, sent, clock := calling(t, func(*notify.Config) {})
	for range 2 {
		to.answer(http.StatusBadGateway)
		e := withURL(t, completed(t), to.url)
		_, err := f.Handle(t.Context(), e)
		absent(t, err)
		clock.pass(3 * time.Minute)
		to.answer(http.StatusOK)
		_, err = f.Handle(t.Context(), e)
		require.NoError(t, err)
		require.Empty(t, notes(t, sent)["url"].Error)
	}
	require.Equal(t, 4, to.called())
	require.Equal(t, to.calls[0].Get("Webhook-Id"), to.calls[1].Get("Webhook-Id"))
	require.NotEqual(t, to.calls[0].Get("Webhook-Timestamp"), to.calls[1].Get("Webhook-Timestamp"))
}

func TestURLsNeedASecret(t *testing.T) {
	t.Parallel()
	for _, c := range []notify.Config{{}, {NotifyURLSecret: "short"}} {
		c.Hosts = []string{"hooks.example.com"}
		_, err := notify.New(c, claims(t), &broker{})
		require.ErrorContains(t, err, "NOTIFY_URL_SECRET")
	}
}
