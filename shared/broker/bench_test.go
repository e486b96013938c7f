package broker

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/servers"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// benchRedis is a durable one (appendfsync always), as shipped.
func benchRedis(b *testing.B) *redis.Client {
	b.Helper()
	servertest.Redis(b)
	r, err := servers.StartRedis(context.Background(), filepath.Join(b.TempDir(), "redis"))
	require.NoError(b, err)
	b.Cleanup(r.Stop)
	opts, err := redis.ParseURL(r.URL)
	require.NoError(b, err)
	rdb := redis.NewClient(opts)
	b.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// report gives events/s and CPU time of this process per event: of the broker,
// and of the subscriber and the load where they run in it.
func report(b *testing.B, events int, since time.Time, cpu time.Duration) {
	b.Helper()
	b.ReportMetric(float64(events)/time.Since(since).Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(events), "cpu-µs/event")
	b.ReportMetric(0, "ns/op")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var sizes = []struct {
	name  string
	bytes int
}{{"256B", 256}, {"4KiB", 4096}}

// BenchmarkCeiling is what this machine's Redis takes at best: XADD in pipelines
// of 64, two at a time.
func BenchmarkCeiling(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			rdb := benchRedis(b)
			data := strings.Repeat("x", size.bytes)
			b.ResetTimer()
			start, cpu := time.Now(), cpuTime()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					for left.Add(-64) > -64 {
						_, err := rdb.Pipelined(b.Context(), func(p redis.Pipeliner) error {
							for range 64 {
								p.XAdd(b.Context(), &redis.XAddArgs{Stream: "s", Values: []string{"e", data}})
							}
							return nil
						})
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			report(b, b.N, start, cpu)
		})
	}
}

// BenchmarkIngress posts over 64 connections from another process: the CPU is the
// broker's alone, that of the generator is given beside it.
func BenchmarkIngress(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			s := benchServer(b, benchRedis(b))
			require.NoError(b, s.srv.Apply(b.Context(), Set{Brokers: []Broker{s.mesh}}))
			l := startLoad(b, s, b.N, 64, size.bytes)
			b.ResetTimer()
			start, cpu := time.Now(), cpuTime()
			l.run(b)
			report(b, b.N, start, cpu)
			b.StopTimer()
			b.ReportMetric(float64(l.stop(b).Microseconds())/float64(b.N), "load-µs/event")
		})
	}
}

// BenchmarkAppend is the ingress without HTTP: 64 callers of its handler.
func BenchmarkAppend(b *testing.B) {
	s := benchServer(b, benchRedis(b))
	require.NoError(b, s.srv.Apply(b.Context(), Set{Brokers: []Broker{s.mesh}}))
	data := strings.Repeat("x", 256)
	h := s.srv.Handler()
	b.ReportAllocs()
	b.ResetTimer()
	start, cpu := time.Now(), cpuTime()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				r := httptest.NewRequest(http.MethodPost, "/bench/"+s.mesh.Name, strings.NewReader(data))
				r.Header = benchHeader(i)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusAccepted {
					b.Error(w.Code)
					return
				}
			}
		})
	}
	wg.Wait()
	report(b, b.N, start, cpu)
}

// BenchmarkDelivery drains a backlog to one subscriber.
func BenchmarkDelivery(b *testing.B) {
	for _, size := range sizes {
		for _, batch := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/batch=%d", size.name, batch), func(b *testing.B) {
				s := benchServer(b, benchRedis(b))
				counter := newCounter(b, int64(b.N))
				t := Trigger{
					Namespace: "bench", Broker: s.mesh.Name, Name: "t", Subscriber: counter.url,
					BatchSize: batch, Parallelism: 64,
				}
				require.NoError(b, s.srv.Apply(b.Context(), Set{Brokers: []Broker{s.mesh}, Triggers: []Trigger{t}}))
				s.post(b, b.N, 64, strings.Repeat("x", size.bytes))
				b.ResetTimer()
				start, cpu := time.Now(), cpuTime()
				stop := s.run(b)
				<-counter.done
				report(b, b.N, start, cpu)
				b.StopTimer()
				stop()
			})
		}
	}
}

// BenchmarkEndToEnd publishes and delivers at once, each event to every
// trigger.
func BenchmarkEndToEnd(b *testing.B) {
	for _, c := range []struct{ size, triggers int }{{0, 1}, {0, 10}, {0, 100}, {1, 1}, {1, 10}, {1, 100}} {
		size, triggers := sizes[c.size], c.triggers
		b.Run(fmt.Sprintf("%s/triggers=%d", size.name, triggers), func(b *testing.B) {
			s := benchServer(b, benchRedis(b))
			counter := newCounter(b, int64(b.N*triggers))
			set := Set{Brokers: []Broker{s.mesh}}
			for i := range triggers {
				set.Triggers = append(set.Triggers, Trigger{
					Namespace: "bench", Broker: s.mesh.Name, Name: fmt.Sprintf("t%d", i), Subscriber: counter.url,
				})
			}
			require.NoError(b, s.srv.Apply(b.Context(), set))
			stop := s.run(b)
			b.ResetTimer()
			start, cpu := time.Now(), cpuTime()
			s.post(b, b.N, 64, strings.Repeat("x", size.bytes))
			<-counter.done
			report(b, b.N*triggers, start, cpu)
			b.StopTimer()
			stop()
		})
	}
}

// BenchmarkLatency publishes 1,000 events a second and reports the time from
// publishing to delivery.
func BenchmarkLatency(b *testing.B) {
	for _, hung := range []bool{false, true} {
		b.Run(fmt.Sprintf("hung-neighbour=%t", hung), func(b *testing.B) {
			s := benchServer(b, benchRedis(b))
			var mu sync.Mutex
			var took []time.Duration
			sent := sync.Map{}
			done := make(chan struct{})
			sub := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if at, ok := sent.LoadAndDelete(r.Header.Get("Ce-Id")); ok {
					mu.Lock()
					defer mu.Unlock()
					if took = append(took, time.Since(at.(time.Time))); len(took) == b.N {
						close(done)
					}
				}
			}))
			defer sub.Close()
			release := make(chan struct{})
			stuck := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
			defer stuck.Close()
			set := Set{Brokers: []Broker{s.mesh}, Triggers: []Trigger{{
				Namespace: "bench", Broker: s.mesh.Name, Name: "t", Subscriber: sub.URL,
			}}}
			if hung {
				set.Triggers = append(set.Triggers, Trigger{Namespace: "bench", Broker: s.mesh.Name, Name: "hung", Subscriber: stuck.URL})
			}
			require.NoError(b, s.srv.Apply(b.Context(), set))
			stop := s.run(b)
			ticker := time.NewTicker(time.Millisecond)
			defer ticker.Stop()
			slots := make(chan struct{}, 64)
			b.ResetTimer()
			for i := range b.N {
				<-ticker.C
				slots <- struct{}{}
				go func() {
					sent.Store(fmt.Sprint(i), time.Now())
					s.postOne(b, int64(i), "data")
					<-slots
				}()
			}
			<-done
			b.StopTimer()
			close(release)
			stop()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

type benchNode struct {
	srv    *Server
	mesh   Broker
	url    string
	client *http.Client
}

func benchServer(b *testing.B, rdb *redis.Client) *benchNode {
	b.Helper()
	cfg := DefaultConfig()
	cfg.StreamCap = 1 << 40
	srv, err := New(cfg, rdb, nil, quiet())
	require.NoError(b, err)
	ingress := httptest.NewServer(srv.Handler())
	b.Cleanup(func() {
		ingress.Close()
		require.NoError(b, srv.Close())
	})
	n := &benchNode{srv: srv, mesh: Broker{Namespace: "bench", Name: "b-" + uuid.NewString()}}
	n.url = ingress.URL + "/" + n.mesh.String()
	n.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: (&net.Dialer{}).DialContext}}
	b.Cleanup(n.client.CloseIdleConnections)
	return n
}

func (n *benchNode) run(b *testing.B) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.srv.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(b, <-done)
	}
}

func (n *benchNode) post(b *testing.B, events, connections int, data string) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(events) {
					return
				}
				n.postOne(b, i-1, data)
			}
		})
	}
	wg.Wait()
}

func (n *benchNode) postOne(b *testing.B, i int64, data string) {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, n.url, strings.NewReader(data))
	if err != nil {
		b.Error(err)
		return
	}
	req.Header = benchHeader(i)
	resp, err := n.client.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		b.Error(resp.Status)
	}
}

func benchHeader(i int64) http.Header {
	return http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {fmt.Sprint(i)}, "Ce-Source": {"/bench"}, "Ce-Type": {"com.example.bench"},
		"Ce-Time": {"2026-01-01T00:00:00Z"}, "Content-Type": {"text/plain"},
	}
}

// counter is a subscriber that knows when all has come.
type counter struct {
	url  string
	done chan struct{}
}

func newCounter(b *testing.B, want int64) *counter {
	c := &counter{done: make(chan struct{})}
	var got atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n := int64(1)
		if strings.HasPrefix(r.Header.Get("Content-Type"), cloudevent.MediaBatch) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			n = int64(strings.Count(string(body), `"specversion":"1.0"`))
		}
		if total := got.Add(n); total >= want && total-n < want {
			close(c.done)
		}
	}))
	b.Cleanup(s.Close)
	c.url = s.URL
	return c
}
