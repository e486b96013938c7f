//go:build !race

package soak_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/seal"
	"github.com/zixly/sweepline/shared/servers"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/trading"
)

// limits are the memory of the pods, in MiB: what the manifests give.
var limits = map[string]int{"receive": 64, "callback": 64, "submit": 128, "collect": 128, "store": 128, "notify": 128, "supervise": 128, "api": 128, "broker": 256}

const mebi = 1 << 20

// small is one process under the limit of its pod, as GOMEMLIMIT tells Go of it.
type small struct {
	*process

	limit int
}

// peak is the most that a process has had resident since it began, all of it: its
// program's pages, too, which a pod is not charged for.
func (s *small) peak() int {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	require.NoError(s.t, err, "%s is gone:\n%s", s.name, s.tail())
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	require.NotNil(s.t, m)
	kib, err := strconv.Atoi(string(m[1]))
	require.NoError(s.t, err)
	return kib >> 10
}

// shape is one hostile input, sent so many times at once.
type shape struct {
	name, path, kind string
	body             []byte
	header           http.Header
	times            int
}

// send sends a shape, three times over; what is answered does not matter.
func (s *small) send(x shape) {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: x.times}}
	defer client.CloseIdleConnections()
	for range 3 {
		var wg sync.WaitGroup
		for range x.times {
			wg.Go(func() {
				req, err := http.NewRequest(http.MethodPost, s.url()+x.path, bytes.NewReader(x.body))
				if err != nil {
					s.t.Error(err)
					return
				}
				req.Header = x.header.Clone()
				if req.Header == nil {
					req.Header = http.Header{}
				}
				req.Header.Set("Content-Type", x.kind)
				resp, err := client.Do(req)
				if err != nil {
					return // refused, or cut: it is the memory that is looked at
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			})
		}
		wg.Wait()
	}
}

// halves opens connections whose bodies never come to their end.
func (s *small) halves(n, size int, path string) {
	half := bytes.Repeat([]byte(" "), size/2)
	for range n {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url(), "http://"))
		if err != nil {
			return
		}
		s.t.Cleanup(func() { _ = c.Close() })
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // it need not be read
		_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents+json\r\nContent-Length: %d\r\n\r\n%s", path, size, half)
	}
}

func repeat(begin, again, end string, size int) []byte {
	return []byte(begin + strings.Repeat(again, (size-len(begin)-len(end))/len(again)) + end)
}

func numbered(form string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, form, i)
	}
	return b.String()
}

const (
	plain      = "application/json"
	structured = "application/cloudevents+json"
	batch      = "application/cloudevents-batch+json"
)

// events are hostile to whoever takes events, of up to a MiB.
func hostileEvents(path string, times int) []shape {
	event := `{"specversion":"1.0","source":"/a","type":"com.zixly.sweep.requested.v1","id":"%d"},`
	list := func(form string, n int) []byte { return []byte("[" + strings.TrimSuffix(numbered(form, n), ",") + "]") }
	trace := http.Header{
		"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "Tracestate": {"a=" + strings.Repeat("x", 60_000)},
	}
	return []shape{
		{"a state with each of 4,000 events", path, batch, list(event, 4000), trace, times},
		{"a state with each of 1,000 events", path, batch, list(event, 1000), trace, times},
		{"events of nothing", path, batch, list(`{"id":"%d"},`, 60_000), nil, times},
		{"half a million numbers", path, batch, repeat("[", "1,", "1]", mebi), nil, times},
		{"a nest", path, batch, repeat("", "[", "", mebi), nil, times},
		{"100,000 attributes", path, structured, []byte(`{"specversion":"1.0","id":"1","source":"/a","type":"t"` + numbered(`,"a%d":1`, 90_000) + "}"), nil, times},
		{"one long attribute", path, structured, repeat(`{"specversion":"1.0","id":"1","source":"/a","type":"t","x":"`, "x", `"}`, mebi), nil, times},
		{"data of members", path, structured, []byte(`{"specversion":"1.0","id":"1","source":"/a","type":"com.zixly.sweep.requested.v1","data":{"x":1` + numbered(`,"a%d":1`, 90_000) + "}}"), nil, times},
		{"data of depth", path, structured, repeat(`{"specversion":"1.0","id":"1","source":"/a","type":"com.zixly.job.failed.v1","data":`, "[", "", mebi), nil, times},
	}
}

// TestEachProcessLivesWithTheMemoryOfItsPod: what strangers, tenants, the trading API
// and whoever reaches the broker may send does not make a process larger than its pod.
func TestEachProcessLivesWithTheMemoryOfItsPod(t *testing.T) {
	alone(t)
	servertest.Redis(t) // skip, or fail, where there is none
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("left out: needs /proc")
	}
	database := servertest.Postgres(t)
	dir, err := os.MkdirTemp("", "sweepline-soak-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	store, err := servers.StartRedis(t.Context(), filepath.Join(dir, "redis"), "--appendonly", "no")
	require.NoError(t, err)
	t.Cleanup(store.Stop)
	taken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	t.Cleanup(taken.Close)
	refused := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(refused.Close)
	api := &hostileAPI{}
	trader := httptest.NewServer(api)
	t.Cleanup(trader.Close)
	config := filepath.Join(dir, "config")
	require.NoError(t, os.MkdirAll(config, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(config, "broker.yaml"), fmt.Appendf(nil, `apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default, namespace: sweepline}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: all, namespace: sweepline}
spec: {broker: default, subscriber: {uri: %q}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: refused, namespace: sweepline}
spec: {broker: default, filter: {attributes: {type: refused}}, subscriber: {uri: %q}}
`, taken.URL, refused.URL), 0o600))

	const secret = "a secret of the memory test"
	begin := func(name string, extra ...string) *small {
		log, err := os.Create(filepath.Join(dir, name+".log"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = log.Close() })
		port := servertest.Port(t)
		p := &small{&process{t: t, name: name, port: port, log: log, ready: fmt.Sprintf("http://127.0.0.1:%d/readyz", port)}, limits[name]}
		p.env = append([]string{
			"REDIS_URL=" + store.URL, "DATABASE_URL=" + database, "TRADING_API_URL=" + trader.URL, "K_SINK=" + taken.URL, "CALLBACK_SECRET=" + secret,
			"WEBHOOK_BASE_URL=http://127.0.0.1:1", fmt.Sprintf("PORT=%d", port), fmt.Sprintf("GOMEMLIMIT=%d", p.limit*mebi/10*9), "TRADING_API_REQUESTS_PER_MINUTE=0",
			"EVENT_SEALS=off", // what is refused for its seal costs less
		}, extra...)
		if name == "broker" {
			admin := servertest.Port(t)
			p.name, p.ready = "sweepline", fmt.Sprintf("http://127.0.0.1:%d/readyz", admin)
			p.args = []string{"broker", "--config", config, "--port", fmt.Sprint(port), "--admin-port", fmt.Sprint(admin)}
		}
		require.NoError(t, p.start())
		t.Cleanup(func() { p.stop(syscall.SIGKILL) })
		p.awaitReady()
		return p
	}
	measure := func(t *testing.T, p *small, what string, f func()) {
		t.Helper()
		before := p.peak()
		f()
		after := p.peak()
		t.Logf("%-10s %-36s %3d -> %3d MiB of %d", p.name, what, before, after, p.limit)
		require.LessOrEqual(t, after, p.limit, "%s, after %s", p.name, what)
	}
	all := func(t *testing.T, p *small, shapes []shape) {
		t.Helper()
		for _, x := range shapes {
			measure(t, p, x.name, func() { p.send(x) })
		}
	}
	const body = 64 << 10
	sweep := `"ticker":"DAX","fast_range":[5,10],"slow_range":[20,30],"step":5`
	t.Run("receive", func(t *testing.T) {
		p := begin("receive", "TENANT_KEYS=a:a-key-0123456789abcdef")
		key := http.Header{"X-Api-Key": {"a-key-0123456789abcdef"}}
		const path = "/webhook/trading-sweep"
		all(t, p, []shape{
			{"unknown fields", path, plain, []byte("{" + numbered(`"%d":1,`, 7000) + `"x":1}`), key, 100},
			{"spaces", path, plain, repeat("{"+sweep, " ", "}", body), key, 100},
			{"a nest", path, plain, repeat(`{"ticker":`, "[", "", body), key, 100},
			{"escapes", path, plain, repeat(`{"ticker":"`, `\u0041`, `"}`, body), key, 100},
			{"attributes", path, structured, []byte(`{"specversion":"1.0","id":"1","source":"/a","type":"t","data":{` + sweep + "}" + numbered(`,"a%d":"x"`, 4000) + "}"), key, 100},
			{"no key", path, plain, repeat("{", " ", "}", body), nil, 100},
		})
		measure(t, p, "bodies that never come", func() { p.halves(400, body, path) })
	})
	t.Run("callback", func(t *testing.T) {
		p := begin("callback")
		id := job.NewID()
		path := trading.CallbackPath + "?job=" + id + "&token=" + trading.Token(secret, id)
		all(t, p, []shape{
			{"members", path, plain, []byte("{" + numbered(`"%d":1,`, 7000) + `"x":1}`), nil, 100},
			{"spaces", path, plain, repeat(`{"status":"completed"`, " ", "}", body), nil, 100},
			{"a nest", path, plain, repeat(`{"result_data":`, "[", "", body), nil, 100},
			{"beyond the bound", path, plain, repeat(`{"x":"`, "x", `"}`, mebi), nil, 100},
			{"no token", trading.CallbackPath, plain, repeat("{", " ", "}", body), nil, 100},
		})
		measure(t, p, "bodies that never come", func() { p.halves(400, body, path) })
	})
	for _, name := range []string{"submit", "collect", "store", "notify", "supervise"} {
		t.Run(name, func(t *testing.T) {
			p := begin(name, "DATABASE_MIGRATE=true")
			all(t, p, hostileEvents("/", 4)) // the broker's parallelism for one Trigger is small
			if name == "collect" {
				api.tell(t, p, measure)
			}
		})
	}
	t.Run("broker", func(t *testing.T) {
		p := begin("broker")
		all(t, p, hostileEvents("/sweepline/default", 20))
		measure(t, p, "bodies that never come", func() { p.halves(400, mebi, "/sweepline/default") })
	})
	t.Run("api", func(t *testing.T) {
		schema, err := postgres.Open(t.Context(), postgres.Config{DatabaseURL: database, Timeout: time.Minute, BulkTimeout: time.Minute, Migrate: true})
		require.NoError(t, err)
		defer func() { _ = schema.Close() }()
		require.NoError(t, schema.Start(t.Context()))
		p, q := begin("broker"), begin("api", "TENANT_KEYS=a:a-key-0123456789abcdef,b:b-key-0123456789abcdef")
		// Dead letters of a MiB each in a tenant's name, which that tenant and others list.
		one := func(id int) []byte {
			return repeat(fmt.Sprintf(`{"specversion":"1.0","id":"dead-%d","source":"/a","type":"refused","tenantid":"a","data":"`, id), "x", `"}`, mebi-1000)
		}
		for i := range 150 {
			p.post("/sweepline/default", structured, one(i))
		}
		var letters struct {
			Letters []struct{} `json:"dead_letters"`
		}
		require.Eventually(t, func() bool {
			body := q.get("/api/dead-letters?limit=500", "a-key-0123456789abcdef")
			return json.Unmarshal(body, &letters) == nil && len(letters.Letters) > 20
		}, time.Minute, 100*time.Millisecond)
		measure(t, q, "lists of large dead letters", func() {
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() { q.get("/api/dead-letters?limit=500", []string{"a", "b"}[i%2]+"-key-0123456789abcdef") })
			}
			wg.Wait()
		})
	})
}

// post sends one body; what is answered does not matter.
func (s *small) post(path, kind string, body []byte) {
	resp, err := http.Post(s.url()+path, kind, bytes.NewReader(body))
	if err == nil {
		_ = resp.Body.Close()
	}
}

// get reads what a tenant is answered, nothing where it is refused.
func (s *small) get(path, key string) []byte {
	req, err := http.NewRequest(http.MethodGet, s.url()+path, http.NoBody)
	if err != nil {
		return nil
	}
	req.Header.Set("X-Api-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	return body
}

// hostileAPI is a trading API whose pages are what page says.
type hostileAPI struct {
	mu   sync.Mutex
	page func(http.ResponseWriter)
}

func (a *hostileAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	page := a.page
	a.mu.Unlock()
	if page == nil || !strings.Contains(r.URL.Path, "/sweeps/") {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", plain)
	page(w)
}

// tell has collect fetch each hostile page, of eight sweeps at once.
func (a *hostileAPI) tell(t *testing.T, p *small, measure func(*testing.T, *small, string, func())) {
	t.Helper()
	flow := func(begin, again string) func(http.ResponseWriter) {
		block := []byte(strings.Repeat(again, 64<<10/len(again)))
		return func(w http.ResponseWriter) {
			_, err := w.Write([]byte(begin))
			for n := 0; n < 64*mebi && err == nil; n += len(block) {
				_, err = w.Write(block)
			}
		}
	}
	packed := func(w http.ResponseWriter) {
		w.Header().Set("Content-Encoding", "gzip")
		g := gzip.NewWriter(w)
		for range 64 {
			if _, err := g.Write(bytes.Repeat([]byte("{},"), mebi/3)); err != nil {
				return
			}
		}
		_ = g.Close()
	}
	for _, c := range []struct {
		name string
		page func(http.ResponseWriter)
	}{
		{"a page of empty rows", flow(`{"total_count":5,"results":[`, `{},`)},
		{"a page of one long row", flow(`{"results":[{"ticker":"`, `x`)},
		{"a page of depth", flow(``, `[`)},
		{"a page of another member", flow(`{"x":[`, `1,`)},
		{"a packed page", packed},
	} {
		a.mu.Lock()
		a.page = c.page
		a.mu.Unlock()
		measure(t, p, c.name, func() {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { completed(t, p) })
			}
			wg.Wait()
		})
	}
}

// completed has collect take the end of a new sweep, or refuse it.
func completed(t *testing.T, p *small) {
	h := job.Header{JobID: job.NewID(), TenantID: "a", JobType: job.Type, CreatedAt: time.Now(), Parameters: job.Sweep{
		Ticker: "DAX", FastRange: [2]int{5, 10}, SlowRange: [2]int{20, 30}, Step: 5, MinTrades: 10, StrategyType: job.SMA,
	}}
	e, err := event.NewCompleted(event.Completed{Header: h, SweepRunID: job.NewID(), CompletedAt: time.Now(), Via: event.ViaPoll})
	if err != nil {
		t.Error(err)
		return
	}
	to, err := sink.New(sink.Config{Sink: p.url(), SinkTimeout: 30 * time.Second}, sink.WithSeals(seal.Without()))
	if err != nil {
		t.Error(err)
		return
	}
	_ = to.Send(context.WithoutCancel(t.Context()), e) // what it makes of it does not matter
}
