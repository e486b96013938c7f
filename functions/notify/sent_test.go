package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/png"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/notify"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/mailbox"
	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/wait"
)

// book is a job store with one job's rows.
type book struct {
	id    string
	rows  []job.Row
	err   error
	hangs bool
}

func (b *book) Surface(context.Context, string, string) ([]byte, error) { return nil, nil }

func (b *book) Results(ctx context.Context, tenant, id string, _ jobstore.RowQuery) iter.Seq2[job.Row, error] {
	return func(yield func(job.Row, error) bool) {
		if b.hangs {
			<-ctx.Done()
			yield(job.Row{}, ctx.Err())
			return
		}
		if b.err != nil {
			yield(job.Row{}, b.err)
			return
		}
		for _, r := range b.rows {
			if tenant != "acme" || id != b.id || !yield(r, nil) {
				return
			}
		}
	}
}

func someRows() (rows []job.Row) {
	for f := 5; f <= 20; f += 5 {
		for s := 25; s <= 60; s += 5 {
			rows = append(rows, job.Row{FastPeriod: f, SlowPeriod: s, Score: float64(f*s%17) / 10})
		}
	}
	return rows
}

func withBook(t *testing.T, b *book, office *postOffice, timeout time.Duration) (*notify.Function, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	f, err := notify.New(notify.Config{
		BaseURL: "http://localhost", SMTPURL: "smtp://" + office.addr, EmailFrom: "a@example.com", EmailTo: []string{"b@example.com"}, Timeout: timeout, Keep: time.Hour,
	}, &memory{state: map[string]once.Claim{}}, &broker{}, notify.WithRows(b), notify.WithLog(jsonLog(log)))
	require.NoError(t, err)
	return f, log
}

func TestMailWithAPicture(t *testing.T) {
	t.Parallel()
	e, office := completed(t), newPostOffice(t, false)
	f, _ := withBook(t, &book{id: e.Subject(), rows: someRows()}, office, 5*time.Second)
	_, err := f.Handle(t.Context(), e)
	require.NoError(t, err)
	m := office.got()[0].read(t)
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/related", kind)
	r := multipart.NewReader(m.Body, params["boundary"])
	first, err := r.NextRawPart()
	require.NoError(t, err)
	bodies := partsOf(t, first.Header.Get("Content-Type"), first)
	id := "heat-map." + e.Subject() + "@sweepline"
	require.Contains(t, bodies["text/html"], `<img src="cid:`+id+`" alt="Heat map of the score over fast and slow periods: best at fast`)
	require.NotContains(t, bodies["text/plain"], "cid:")
	second, err := r.NextPart()
	require.NoError(t, err)
	require.Equal(t, "<"+id+">", second.Header.Get("Content-Id"))
	require.Contains(t, second.Header.Get("Content-Disposition"), "inline")
	require.Contains(t, second.Header.Get("Content-Type"), "image/png")
	decoded, err := png.Decode(base64Reader(second))
	require.NoError(t, err)
	require.Equal(t, 1200, decoded.Bounds().Dx())
	_, err = r.NextPart()
	require.ErrorIs(t, err, io.EOF)
}

func TestTheMessageGoesWithoutItsPicture(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		book book
		fail bool
		logs bool
	}{
		"failed job":     {book: book{rows: someRows()}, fail: true},
		"no rows":        {},
		"job store away": {book: book{err: errAway}, logs: true},
		"job store slow": {book: book{hangs: true}, logs: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, office := completed(t), newPostOffice(t, false)
			if c.fail {
				e = failed(t, "no")
			}
			c.book.id = e.Subject()
			f, log := withBook(t, &c.book, office, 2*time.Second)
			_, err := f.Handle(t.Context(), e)
			require.NoError(t, err)
			m := office.got()[0].read(t)
			require.NotContains(t, partsOf(t, m.Header.Get("Content-Type"), m.Body)["text/html"], "<img")
			require.Equal(t, c.logs, bytes.Contains(log.Bytes(), []byte("sending message without it")), log.String())
		})
	}
}

// The guard that production has, on both kinds of Redis.
func TestWithRedis(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{"miniredis": servertest.Miniredis, "redis": servertest.Redis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guard, err := wait.Open(t.Context(), wait.Config{RedisURL: url(t), KeyPrefix: "test:" + job.NewID() + ":"})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, guard.Close()) })
			sender, sent := newSlackSink(t), &broker{}
			f, err := notify.New(notify.Config{BaseURL: "http://localhost", SlackWebhookURL: sender.url, Timeout: 5 * time.Second, Keep: time.Hour}, guard, sent)
			require.NoError(t, err)
			ready, err := f.Ready(t.Context())
			require.NoError(t, err)
			require.True(t, ready)

			e := completed(t)
			sender.answer(http.StatusBadGateway)
			_, err = f.Handle(t.Context(), e)
			require.Error(t, err)
			sender.answer(http.StatusOK)
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					_, err := f.Handle(t.Context(), e)
					var later *sink.Unavailable
					if err != nil && !errors.As(err, &later) {
						t.Errorf("handle: %v", err)
					}
				})
			}
			wg.Wait()
			_, err = f.Handle(t.Context(), e)
			require.NoError(t, err)
			require.Len(t, sender.got(), 1)
		})
	}
}

// A process that dies between sending and noting it down leaves its claim to
// run out. The message goes out once more then, and that is counted and recorded.
func TestACrashBetweenSendingAndNoting(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{"miniredis": servertest.Miniredis, "redis": servertest.Redis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guard, err := wait.Open(t.Context(), wait.Config{RedisURL: url(t), KeyPrefix: "test:" + job.NewID() + ":"})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, guard.Close()) })
			sender, sent, reg := newSlackSink(t), &broker{}, prometheus.NewRegistry()
			cfg := notify.Config{BaseURL: "http://localhost", SlackWebhookURL: sender.url, Timeout: 3 * time.Second, Keep: time.Hour} // a lease that a busy machine does not sleep through
			doomed, err := notify.New(cfg, dying{guard}, sent)
			require.NoError(t, err)
			e := completed(t)
			_, err = doomed.Handle(t.Context(), e)
			require.ErrorIs(t, err, errAway)
			require.Len(t, sender.got(), 1)
			require.Empty(t, sent.events)

			next, err := notify.New(cfg, guard, sent, notify.WithMetrics(reg))
			require.NoError(t, err)
			held := 0
			require.Eventually(t, func() bool {
				_, err := next.Handle(t.Context(), e)
				var later *sink.Unavailable
				if errors.As(err, &later) {
					held++
				}
				return err == nil
			}, time.Minute, 20*time.Millisecond)
			require.Positive(t, held, "nobody knows that the first is dead until its lease ends")
			require.Len(t, sender.got(), 2)
			_, err = next.Handle(t.Context(), e)
			require.NoError(t, err)
			require.Len(t, sender.got(), 2, "twice is enough")

			d, err := event.Data[event.Notified](sent.events[0])
			require.NoError(t, err)
			require.True(t, d.Again)
			require.Equal(t, 1.0, counted(t, reg, "slack", "again"))
			require.Zero(t, counted(t, reg, "slack", "sent"))

			sender.answer(http.StatusInternalServerError)
			other := completed(t)
			_, err = next.Handle(t.Context(), other)
			require.Error(t, err)
			sender.answer(http.StatusOK)
			_, err = next.Handle(t.Context(), other)
			require.NoError(t, err)
			require.Equal(t, 1.0, counted(t, reg, "slack", "failed"))
			require.Equal(t, 1.0, counted(t, reg, "slack", "sent"), "a reported failure is no crash")
		})
	}
}

// dying is a guard of a process that dies before it can note anything down.
type dying struct{ *wait.Waits }

func (dying) MarkDone(context.Context, string, string, time.Duration) error { return errAway }
func (dying) Release(context.Context, string) error                         { return errAway }

func counted(t *testing.T, reg *prometheus.Registry, channel, outcome string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == channel && m.GetLabel()[1].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
	return 0
}

func TestTheMailboxKeepsWhatWouldBeSent(t *testing.T) {
	t.Parallel()
	var box mailbox.Box
	e, bad := completed(t), failed(t, "<b>no</b>")
	f, err := notify.New(notify.Config{BaseURL: "http://localhost", Timeout: time.Minute, Keep: time.Hour}, &memory{state: map[string]once.Claim{}}, &broker{},
		notify.WithRows(&book{id: e.Subject(), rows: someRows()}), notify.WithMailbox(&box), notify.WithLog(jsonLog(&bytes.Buffer{})))
	require.NoError(t, err)
	_, err = f.Handle(t.Context(), e)
	require.NoError(t, err)
	_, err = f.Handle(t.Context(), bad)
	require.NoError(t, err)
	kept := box.Messages("acme")
	require.Len(t, kept, 2)
	require.Contains(t, kept[0].HTML, "&lt;b&gt;no&lt;/b&gt;")
	require.Nil(t, kept[0].Picture)
	require.False(t, kept[0].Completed)
	require.True(t, kept[1].Completed)
	require.Contains(t, kept[1].HTML, kept[1].PictureSrc)
	require.Contains(t, kept[1].Text, "1234 combinations")
	require.True(t, json.Valid(kept[1].Slack))
	_, err = png.Decode(bytes.NewReader(kept[1].Picture(t.Context())))
	require.NoError(t, err)
}
