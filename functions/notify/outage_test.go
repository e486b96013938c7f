package notify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/notify"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/wait"
)

// absent requires an error that a broker does not count as an attempt.
func absent(t *testing.T, err error) *sink.Unavailable {
	t.Helper()
	var u *sink.Unavailable
	require.ErrorAs(t, err, &u)
	require.Positive(t, u.RetryAfter)
	return u
}

// counts requires an error that a broker counts.
func counts(t *testing.T, err error) {
	t.Helper()
	var u *sink.Unavailable
	require.Error(t, err)
	require.NotErrorAs(t, err, &u)
	require.False(t, rejected(err))
}

// claims is the guard that production has.
func claims(t *testing.T) *wait.Waits {
	t.Helper()
	g, err := wait.Open(t.Context(), wait.Config{RedisURL: servertest.Miniredis(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

func onRedis(t *testing.T, change func(*notify.Config)) (*notify.Function, *broker) {
	t.Helper()
	cfg := notify.Config{BaseURL: "http://localhost", EmailFrom: "a@example.com", EmailTo: []string{"b@example.com"}, Timeout: 300 * time.Millisecond, Keep: time.Hour}
	change(&cfg)
	sent := &broker{}
	f, err := notify.New(cfg, claims(t), sent, notify.WithLog(jsonLog(&bytes.Buffer{})))
	require.NoError(t, err)
	return f, sent
}

// Both channels go and come while fifty jobs end and their events are given over
// and over, several at once. No attempt counts, and in the end each job was told
// once by each channel.
func TestAnOutageNotifiesEachJobOnce(t *testing.T) {
	t.Parallel()
	sender, office := newSlackSink(t), newPostOffice(t, false)
	f, sent := onRedis(t, func(c *notify.Config) {
		c.SlackWebhookURL, c.SMTPURL, c.Timeout = sender.url, "smtp://"+office.addr, 5*time.Second
	})
	var open []cloudevents.Event
	for range 50 {
		open = append(open, completed(t))
	}
	down := &smtp.SMTPError{Code: 421, Message: "shutting down"}
	for _, phase := range []struct {
		slack int
		mail  error
	}{{503, down}, {503, down}, {200, down}, {503, down}, {502, nil}, {200, nil}} {
		sender.answer(phase.slack)
		office.refuseWith(nil)
		if phase.mail != nil {
			office.refuseWith(phase.mail)
		}
		var mu sync.Mutex
		taken := map[string]bool{}
		var wg sync.WaitGroup
		for _, e := range open {
			for range 2 {
				wg.Go(func() {
					_, err := f.Handle(t.Context(), e)
					var u *sink.Unavailable
					if err != nil && !errors.As(err, &u) {
						t.Errorf("an attempt counts: %v", err)
					}
					mu.Lock()
					defer mu.Unlock()
					taken[e.ID()] = taken[e.ID()] || err == nil
				})
			}
		}
		wg.Wait()
		for _, e := range open {
			require.Equal(t, phase.mail == nil, taken[e.ID()])
		}
	}
	require.Len(t, sender.got(), 50)
	require.Len(t, office.got(), 50)
	notified := map[string]int{}
	for _, body := range sender.got() {
		for _, e := range open {
			if strings.Contains(string(body), e.Subject()) {
				notified[e.Subject()]++
			}
		}
	}
	require.Len(t, notified, 50)
	for _, e := range sent.events {
		d, err := event.Data[event.Notified](e)
		require.NoError(t, err)
		require.False(t, d.Again, "nobody died")
	}
}

func TestASlackThatIsNotThere(t *testing.T) {
	t.Parallel()
	nobody := fmt.Sprintf("http://127.0.0.1:%d", servertest.Port(t))
	sender := newSlackSink(t)
	for name, url := range map[string]string{"refused": nobody + "/secret-token", "no such host": "http://slack.invalid/x", "500": sender.url, "504": sender.url, "408": sender.url} {
		t.Run(name, func(t *testing.T) {
			sender.answer(map[string]int{"500": 500, "504": 504, "408": 408}[name])
			f, sent := onRedis(t, func(c *notify.Config) { c.SlackWebhookURL = url })
			e := completed(t)
			for range 3 {
				_, err := f.Handle(t.Context(), e)
				absent(t, err)
				require.NotContains(t, err.Error(), "secret-token")
				require.NotContains(t, err.Error(), "another delivery", "the claim was given back")
			}
			require.Empty(t, sent.events)
		})
	}
}

// What Slack asks for is bounded: a mistake of its own must not keep this process silent
// for days.
func TestASlackThatAsksForTooMuch(t *testing.T) {
	t.Parallel()
	sender := newSlackSink(t)
	f, _ := onRedis(t, func(c *notify.Config) { c.SlackWebhookURL = sender.url })
	sender.header.Set("Retry-After", "864000")
	sender.answer(http.StatusTooManyRequests)
	for range 2 { // by Slack, and by what is remembered of it
		_, err := f.Handle(t.Context(), completed(t))
		require.LessOrEqual(t, absent(t, err).RetryAfter, 5*time.Minute)
	}
}

// A webhook that was deleted does not come back by waiting: somebody has to see
// the dead letter.
func TestASlackThatRefuses(t *testing.T) {
	t.Parallel()
	sender := newSlackSink(t)
	f, _ := onRedis(t, func(c *notify.Config) { c.SlackWebhookURL = sender.url })
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusGone, http.StatusFound} {
		sender.answer(status)
		_, err := f.Handle(t.Context(), completed(t))
		counts(t, err)
	}
}

// What became of the message cannot be known. It is sent once more when the
// claim has run out, and not before, and the timeline says "perhaps twice".
func TestASlackWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*slackSink)
		took   int // messages that were there before
	}{
		"hangs up":         {func(s *slackSink) { s.dies = true }, 0},
		"answers too late": {func(s *slackSink) { s.hangs = true }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender := newSlackSink(t)
			f, sent := onRedis(t, func(c *notify.Config) { c.SlackWebhookURL = sender.url })
			sender.become(c.change)
			e := completed(t)
			_, err := f.Handle(t.Context(), e)
			absent(t, err)
			require.Contains(t, err.Error(), "response lost")
			asked := sender.requests()
			_, err = f.Handle(t.Context(), e)
			absent(t, err)
			require.Equal(t, asked, sender.requests(), "not before the claim has run out")
			require.Len(t, sender.got(), c.took)
			sender.become(func(s *slackSink) { s.dies, s.hangs = false, false })
			require.Eventually(t, func() bool {
				_, err := f.Handle(t.Context(), e)
				return err == nil
			}, time.Minute, 20*time.Millisecond)
			require.Len(t, sender.got(), c.took+1)
			d, err := event.Data[event.Notified](sent.events[0])
			require.NoError(t, err)
			require.True(t, d.Again)
		})
	}
}

func TestAMailServerInTrouble(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t, false)
	f, sent := onRedis(t, func(c *notify.Config) { c.SMTPURL, c.Timeout = "smtp://"+office.addr, 2*time.Second })
	e := completed(t)
	for _, code := range []int{421, 450, 451, 452} {
		office.refuseWith(&smtp.SMTPError{Code: code, Message: "later"})
		_, err := f.Handle(t.Context(), e)
		absent(t, err)
		require.NotContains(t, err.Error(), "another delivery", "the claim was given back")
	}
	for _, code := range []int{550, 552, 554} {
		office.refuseWith(&smtp.SMTPError{Code: code, Message: "never"})
		_, err := f.Handle(t.Context(), e)
		counts(t, err)
	}
	office.refuseWith(nil)
	_, err := f.Handle(t.Context(), e)
	require.NoError(t, err)
	require.Len(t, office.got(), 1)
	require.Len(t, sent.events, 1)

	gone, _ := onRedis(t, func(c *notify.Config) { c.SMTPURL = "smtp://127.0.0.1:1" })
	_, err = gone.Handle(t.Context(), e)
	absent(t, err)
}

func TestAMailServerWhoseReplyIsLost(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t, false)
	f, sent := onRedis(t, func(c *notify.Config) { c.SMTPURL = "smtp://" + office.addr })
	office.mu.Lock()
	office.drops = true
	office.mu.Unlock()
	e := completed(t)
	_, err := f.Handle(t.Context(), e)
	absent(t, err)
	require.Contains(t, err.Error(), "response lost")
	require.Len(t, office.got(), 1)
	office.mu.Lock()
	office.drops = false
	office.mu.Unlock()
	require.Eventually(t, func() bool {
		_, err := f.Handle(t.Context(), e)
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	got := office.got()
	require.Len(t, got, 2)
	require.Equal(t, got[0].read(t).Header.Get("Message-ID"), got[1].read(t).Header.Get("Message-ID"), "so that a mail server may drop it")
	d, err := event.Data[event.Notified](sent.events[0])
	require.NoError(t, err)
	require.True(t, d.Again)
}

// hesitant is a guard whose Redis is away for a moment.
type hesitant struct {
	*wait.Waits
	mu    sync.Mutex
	fails int
}

func (h *hesitant) MarkDone(ctx context.Context, key, note string, keep time.Duration) error {
	h.mu.Lock()
	h.fails--
	fails := h.fails >= 0
	h.mu.Unlock()
	if fails {
		return errAway
	}
	return h.Waits.MarkDone(ctx, key, note, keep)
}

// A Redis that blinks between the message and the mark costs no second message.
func TestAMarkIsTriedAgain(t *testing.T) {
	t.Parallel()
	sender, sent := newSlackSink(t), &broker{}
	guard := &hesitant{Waits: claims(t), fails: 3}
	f, err := notify.New(notify.Config{BaseURL: "http://localhost", SlackWebhookURL: sender.url, Timeout: 5 * time.Second, Keep: time.Hour}, guard, sent)
	require.NoError(t, err)
	e := completed(t)
	for range 2 {
		_, err = f.Handle(t.Context(), e)
		require.NoError(t, err)
	}
	require.Len(t, sender.got(), 1)
}

// overtaken is a guard whose claims are told of only once another process has them.
type overtaken struct{ *wait.Waits }

func (o overtaken) ClaimNoted(ctx context.Context, key string, lease time.Duration) (once.Claim, string, error) {
	c, note, err := o.Waits.ClaimNoted(ctx, key, lease)
	for {
		if c, err := o.Claim(context.WithoutCancel(ctx), key, time.Hour); err == nil && c == once.Again {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return c, note, err
}

// A process that stood still in the middle, until its claim had ended and another was at
// it, neither sends nor gives back the other's claim.
func TestAProcessThatStoodStill(t *testing.T) {
	t.Parallel()
	office, guard := newPostOffice(t, false), claims(t)
	e := completed(t)
	f, err := notify.New(notify.Config{
		BaseURL: "http://localhost", Timeout: 50 * time.Millisecond, Keep: time.Hour,
		SMTPURL: "smtp://" + office.addr, EmailFrom: "a@example.com", EmailTo: []string{"b@example.com"},
	}, overtaken{guard}, &broker{}, notify.WithLog(jsonLog(&bytes.Buffer{})))
	require.NoError(t, err)
	_, err = f.Handle(t.Context(), e)
	absent(t, err)
	require.Empty(t, office.got())
	c, err := guard.Claim(t.Context(), "notify/"+e.ID()+"/email", time.Hour)
	require.NoError(t, err)
	require.Equal(t, once.Held, c, "by the other")
}

// While one channel is unavailable, what is reported of the other is the same event with
// each attempt: a broker drops all but the first.
func TestWhatIsReportedAgainIsTheSameEvent(t *testing.T) {
	t.Parallel()
	sender, office := newSlackSink(t), newPostOffice(t, false)
	now := time.Now()
	sent := &broker{}
	f, err := notify.New(notify.Config{
		BaseURL: "http://localhost", SlackWebhookURL: sender.url, Timeout: 5 * time.Second, Keep: time.Hour,
		SMTPURL: "smtp://" + office.addr, EmailFrom: "sweepline@example.com", EmailTo: []string{"desk@example.com"},
	}, claims(t), sent, notify.WithClock(func() time.Time { now = now.Add(time.Minute); return now }))
	require.NoError(t, err)
	sender.answer(http.StatusServiceUnavailable)
	e := completed(t)
	for range 3 {
		_, err = f.Handle(t.Context(), e)
		absent(t, err)
	}
	sender.answer(http.StatusOK)
	_, err = f.Handle(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, []string{"email", "email", "email", "slack", "email"}, sent.channels(t))
	require.Equal(t, []int{1, 1, 1, 0, 0}, sent.left(t))
	for _, again := range sent.events[1:3] {
		require.Equal(t, sent.events[0].String(), again.String())
	}
	require.Equal(t, sent.events[0].Time(), sent.events[4].Time(), "when it was notified")
	require.Len(t, office.got(), 1)
}

// The supervisor sends an end again of which nobody was notified, as far as the
// job store knows.
func TestAnEventThatIsSentAgainIsTheSameEnd(t *testing.T) {
	t.Parallel()
	sender := newSlackSink(t)
	f, _ := onRedis(t, func(c *notify.Config) { c.SlackWebhookURL = sender.url })
	e := completed(t)
	for _, n := range []int{0, 1, 2} {
		_, err := f.Handle(t.Context(), event.Again(e, n))
		require.NoError(t, err)
	}
	require.Len(t, sender.got(), 1)
}
