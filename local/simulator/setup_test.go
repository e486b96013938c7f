package simulator_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/simulator"
)

type object = map[string]any

// bundle is a simulator behind a real server and a receiver of its webhooks.
type bundle struct {
	*testing.T
	sim   *simulator.Simulator
	clock *simulator.ManualClock
	url   string
	sink  string
	hooks chan *hook
}

type hook struct {
	header http.Header
	body   object
}

var start = time.Date(2025, 1, 27, 10, 0, 0, 0, time.UTC)

func setup(t *testing.T, change func(*simulator.Config)) *bundle {
	t.Helper()
	cfg := simulator.DefaultConfig()
	cfg.Delay = time.Hour
	if change != nil {
		change(&cfg)
	}
	b := &bundle{T: t, clock: simulator.NewManualClock(start), hooks: make(chan *hook, 100)}
	sim, err := simulator.New(cfg, slog.New(slog.DiscardHandler), simulator.WithClock(b.clock))
	require.NoError(t, err)
	t.Cleanup(sim.Close)
	api := httptest.NewServer(sim.Handler())
	t.Cleanup(api.Close)
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body object
		_ = json.NewDecoder(r.Body).Decode(&body)
		b.hooks <- &hook{r.Header.Clone(), body}
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(sink.Close)
	b.sim, b.url, b.sink = sim, api.URL, sink.URL
	return b
}

func (b *bundle) do(method, path, kind, body string) (int, object, http.Header) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(b, err)
	req.Header.Set("X-API-Key", simulator.DevKey)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(b, err)
	var out object
	if len(raw) > 0 && raw[0] == '{' {
		require.NoError(b, json.Unmarshal(raw, &out))
	}
	return resp.StatusCode, out, resp.Header
}

func (b *bundle) get(path string) object {
	b.Helper()
	status, body, _ := b.do("GET", path, "", "")
	require.Equal(b, 200, status, "%s: %v", path, body)
	return body
}

func (b *bundle) submit(change object) string {
	b.Helper()
	status, body, _ := b.do("POST", "/api/v1/strategy/sweep", "application/json", b.body(change))
	require.Equal(b, 202, status, body)
	return body["job_id"].(string)
}

func (b *bundle) body(change object) string {
	m := object{"ticker": "DAX", "fast_range": []int{5, 10}, "slow_range": []int{20, 40}, "step": 5, "min_trades": 10, "webhook_url": b.sink}
	for k, v := range change {
		m[k] = v
		if v == nil {
			delete(m, k)
		}
	}
	raw, err := json.Marshal(m)
	require.NoError(b, err)
	return string(raw)
}

func (b *bundle) job(id string) object { b.Helper(); return b.get("/api/v1/jobs/" + id) }

// running waits until n sweeps need nothing but time to end.
func (b *bundle) running(n int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	require.NoError(b, b.sim.Running(ctx, n))
}

func (b *bundle) ended(n int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	require.NoError(b, b.sim.Ended(ctx, n))
}

func (b *bundle) idle() {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	require.NoError(b, b.sim.Idle(ctx))
}
