package receive_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/receive"
	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/seal"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/wait"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// line is receive in front of the real broker, over real HTTP.
type line struct {
	url       string
	waits     *wait.Waits
	inspector *broker.Inspector
	space     string
}

func through(t testing.TB, redisURL string) line {
	t.Helper()
	opts, err := redis.ParseURL(redisURL)
	require.NoError(t, err)
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	quiet := slog.New(slog.DiscardHandler)
	b, err := broker.New(broker.DefaultConfig(), client, prometheus.NewRegistry(), quiet)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	space := "test-" + job.NewID()
	require.NoError(t, b.Apply(t.Context(), broker.Set{Brokers: []broker.Broker{{Namespace: space, Name: "default"}}}))
	ingress := httptest.NewServer(b.Handler())
	t.Cleanup(ingress.Close)
	inspector, err := broker.NewInspector(client)
	require.NoError(t, err)

	sender, err := sink.New(sink.Config{Sink: ingress.URL + "/" + space + "/default"}, sink.WithSeals(seal.Without()))
	require.NoError(t, err)
	waits, err := wait.Open(t.Context(), wait.Config{RedisURL: redisURL, KeyPrefix: "sweepline:" + space + ":"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = waits.Close() })
	keys, err := auth.New(auth.Config{})
	require.NoError(t, err)
	f, err := receive.FromDeps(receive.Config{BaseURL: "http://localhost:8080"}, waits, sender, keys)
	require.NoError(t, err)
	h, err := function.Handler("receive", f, prometheus.NewRegistry())
	require.NoError(t, err)
	front := httptest.NewServer(h)
	t.Cleanup(front.Close)
	return line{url: front.URL + path, waits: waits, inspector: inspector, space: space}
}

func (l line) post(ctx context.Context, key string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, strings.NewReader(valid))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func (l line) entries(t testing.TB) int64 {
	t.Helper()
	streams, err := l.inspector.Streams(t.Context())
	require.NoError(t, err)
	var n int64
	for _, s := range streams {
		if s.Namespace == l.space {
			n += s.Entries
		}
	}
	return n
}

func TestOneKeyFiftyTimesIsOneEvent(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{"redis": servertest.Redis, "miniredis": servertest.Miniredis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := through(t, url(t))
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if code, err := l.post(t.Context(), "k"); err != nil || code != http.StatusAccepted {
						t.Errorf("got %d, %v", code, err)
					}
				})
			}
			wg.Wait()
			require.EqualValues(t, 1, l.entries(t))
			_, err := l.waits.Get(t.Context(), job.DeriveID("default", "k", time.Now()))
			require.NoError(t, err)
		})
	}
}

func TestRedisGoneAndBack(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	l := through(t, "redis://"+m.Addr())
	code, err := l.post(t.Context(), "before")
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, code)
	m.Close()
	code, err = l.post(t.Context(), "during")
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.NoError(t, m.Restart())
	require.Eventually(t, func() bool { // connections come back by themselves
		code, err = l.post(t.Context(), "during")
		return err == nil && code == http.StatusAccepted
	}, time.Minute, 20*time.Millisecond)
}

// BenchmarkReceive posts 200 times a second, whatever the answers take, to
// receive before a broker on a Redis that syncs each commit, and reports how
// long the answers took.
func BenchmarkReceive(b *testing.B) {
	l := through(b, servertest.Redis(b))
	var (
		mu    sync.Mutex
		times []time.Duration
		wg    sync.WaitGroup
	)
	tick := time.NewTicker(time.Second / 200)
	defer tick.Stop()
	for b.Loop() {
		<-tick.C
		wg.Go(func() {
			began := time.Now()
			code, err := l.post(b.Context(), "")
			if err != nil || code != http.StatusAccepted {
				b.Errorf("got %d, %v", code, err)
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Since(began))
		})
	}
	wg.Wait()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}
