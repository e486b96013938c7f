package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/zixly/sweepline/knative/contract/write"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// bundle is one process of a data plane with its mount.
type bundle struct {
	*plane
	t     *testing.T
	rdb   redis.UniversalClient
	mount string
	name  string
}

func setup(t *testing.T, url, name string, options ...func(*Config)) *bundle {
	t.Helper()
	cfg := Config{Role: Ingress, RedisURL: url, Contract: t.TempDir(), Broker: broker.DefaultConfig()}
	for _, o := range options {
		o(&cfg)
	}
	p, err := open(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	p.patience = 0
	t.Cleanup(func() { require.NoError(t, errors.Join(p.server.Close(), p.rdb.Close())) })
	return &bundle{plane: p, t: t, rdb: p.rdb, mount: cfg.Contract, name: name}
}

// write mounts a contract as kubelet does: a new folder, then the link.
func (b *bundle) write(c write.Contract) {
	b.t.Helper()
	data, err := c.Encode()
	require.NoError(b.t, err)
	folder := filepath.Join(b.mount, fmt.Sprintf("..%d", c.Generation))
	require.NoError(b.t, os.Mkdir(folder, 0o700))
	for name, text := range data {
		require.NoError(b.t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	link := filepath.Join(b.mount, "..data")
	_ = os.Remove(link) // there is none the first time
	require.NoError(b.t, os.Symlink(folder, link))
}

func (b *bundle) contract(generation int64, triggers ...string) write.Contract {
	c := write.Contract{Generation: generation, Broker: &eventingv1.Broker{
		TypeMeta:   metav1.TypeMeta{APIVersion: "eventing.knative.dev/v1", Kind: "Broker"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: b.name},
	}}
	for _, name := range triggers {
		c.Triggers = append(c.Triggers, eventingv1.Trigger{
			TypeMeta:   metav1.TypeMeta{APIVersion: "eventing.knative.dev/v1", Kind: "Trigger"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
			Spec:       eventingv1.TriggerSpec{Broker: b.name, Subscriber: duckv1.Destination{URI: apis.HTTP("sub.example.com")}},
		})
	}
	return c
}

// says gives what the admin port answers.
func (b *bundle) says(path string) (int, map[string]any) {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.admin().ServeHTTP(w, httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, path, nil))
	var body map[string]any
	require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), &body))
	return w.Code, body
}

func (b *bundle) post() int {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, "/ns/"+b.name, strings.NewReader("{}"))
	for k, v := range map[string]string{"Ce-Specversion": "1.0", "Ce-Type": "t", "Ce-Source": "/s", "Ce-Id": "1", "Content-Type": "application/json"} {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	b.server.Handler().ServeHTTP(w, r)
	return w.Code
}

func (b *bundle) groups() []string {
	b.t.Helper()
	names, err := b.rdb.HKeys(b.t.Context(), "sweepline:{ns/"+b.name+"/0}:routes").Result()
	require.NoError(b.t, err)
	removed, err := b.rdb.ZRange(b.t.Context(), "sweepline:{ns/"+b.name+"/0}:removed", 0, -1).Result()
	require.NoError(b.t, err)
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(removed, name) })
}

func (b *bundle) keys() []string {
	b.t.Helper()
	keys, err := b.rdb.Keys(b.t.Context(), "sweepline:*ns/"+b.name+"/*").Result()
	require.NoError(b.t, err)
	return keys
}

func TestAContractFromBeginningToEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t), "whole")
	require.Error(t, b.take(t.Context()), "there is nothing yet")
	code, body := b.says("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "missing: contract", body["status"])
	require.Equal(t, http.StatusNotFound, b.post())

	b.write(b.contract(7, "one"))
	require.NoError(t, b.take(t.Context()))
	code, _ = b.says("/readyz")
	require.Equal(t, http.StatusOK, code)
	_, body = b.says("/contract")
	require.InDelta(t, 7, body["generation"], 0)
	require.Equal(t, []string{"one"}, b.groups(), "the group is there before the generation is told")
	require.Equal(t, http.StatusAccepted, b.post())

	b.write(b.contract(8, "one", "two"))
	require.NoError(t, b.take(t.Context()))
	require.ElementsMatch(t, []string{"one", "two"}, b.groups())

	b.write(write.Contract{Generation: 9, Purge: "ns/whole"})
	require.NoError(t, b.take(t.Context()))
	require.Empty(t, b.keys())
	require.Equal(t, http.StatusNotFound, b.post())
	members, err := b.rdb.SMembers(t.Context(), "sweepline:brokers").Result()
	require.NoError(t, err)
	require.NotContains(t, members, "ns/whole")
}

// The status names Redis, with the reason, also before there was ever a contract; a
// probe of a process that starts waits for it.
func TestStatusNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	nobody := setup(t, fmt.Sprintf("redis://user:secret@127.0.0.1:%d", servertest.Port(t)), "away")
	nobody.write(nobody.contract(1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go nobody.follow(ctx)
	require.Eventually(t, func() bool {
		_, body := nobody.says("/status")
		reason, _ := body["reason"].(string)
		return body["status"] == "missing: redis" && strings.HasPrefix(reason, "dial 127.0.0.1:") && !strings.Contains(reason, "secret")
	}, serverTimeout, lookEvery/10)
	code, body := nobody.says("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "missing: redis", body["status"])
	require.Contains(t, body["reason"], "connection refused")

	b := setup(t, servertest.Redis(t), "start")
	b.patience = serverTimeout
	answered := make(chan int, 1)
	go func() {
		code, _ := b.says("/readyz")
		answered <- code
	}()
	_, body = b.says("/status")
	require.Equal(t, "missing: contract", body["status"])
	b.write(b.contract(1))
	require.NoError(t, b.take(t.Context()))
	require.Equal(t, http.StatusOK, <-answered)
	b.stopping.Store(true)
	code, _ = b.says("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
}

func TestPlainlyLeavesOutThisSidesPort(t *testing.T) {
	t.Parallel()
	to := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 6379}
	of := func(port int) error {
		return fmt.Errorf("ping: %w", &net.OpError{
			Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: port}, Addr: to, Err: os.ErrDeadlineExceeded,
		})
	}
	require.Equal(t, "read 10.0.0.2:6379: i/o timeout", plainly(of(40000)))
	require.Equal(t, plainly(of(40000)), plainly(of(40001)))
	require.LessOrEqual(t, len(plainly(errors.New(strings.Repeat("x", 1000)))), 260)
}

// A pod whose mount is old would destroy the group of a Trigger that it has not
// heard of.
func TestAnOutdatedMountIsNotServed(t *testing.T) {
	t.Parallel()
	url := servertest.Redis(t)
	current, outdated := setup(t, url, "old"), setup(t, url, "old")
	current.write(current.contract(2, "one", "two"))
	require.NoError(t, current.take(t.Context()))

	outdated.write(outdated.contract(1, "one"))
	require.ErrorIs(t, outdated.take(t.Context()), broker.ErrOutdated)
	require.ElementsMatch(t, []string{"one", "two"}, current.groups())
	code, _ := outdated.says("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)

	outdated.write(outdated.contract(3, "two"))
	require.NoError(t, outdated.take(t.Context()))
	require.Equal(t, []string{"two"}, current.groups())
}

// A Trigger of the name of one that was deleted begins at its own creation.
func TestADeletedTriggersQueueIsNotInherited(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t), "deleted")
	b.write(b.contract(1, "one"))
	require.NoError(t, b.take(t.Context()))
	require.Equal(t, http.StatusAccepted, b.post())
	queue := "sweepline:{ns/deleted/0}:q:one"
	waiting := func() int64 {
		n, err := b.rdb.XLen(t.Context(), queue).Result()
		require.NoError(t, err)
		return n
	}
	require.EqualValues(t, 1, waiting())
	b.write(b.contract(2))
	require.NoError(t, b.take(t.Context()))
	require.Zero(t, b.rdb.Exists(t.Context(), queue).Val(), "gone before the generation is told")
	b.write(b.contract(3, "one"))
	require.NoError(t, b.take(t.Context()))
	require.Zero(t, waiting())
}

func TestPurgeTakesNamesOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t), "names")
	require.Error(t, b.purge(t.Context(), "ns/*"))
}

// In a Redis Cluster the keys of a Broker lie on all nodes.
func TestPurgeOnACluster(t *testing.T) {
	t.Parallel()
	rdb, err := redisclient.New(servertest.Cluster(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	other := "sweepline:{ns/other/0}:meta"
	keys := []string{other}
	for p := range 12 {
		keys = append(keys, fmt.Sprintf("sweepline:{ns/b/%d}:meta", p))
	}
	for _, k := range keys {
		require.NoError(t, rdb.Set(t.Context(), k, 1, 0).Err())
	}
	inspector, err := broker.NewInspector(rdb)
	require.NoError(t, err)
	require.NoError(t, inspector.Purge(t.Context(), "ns", "b"))
	for _, k := range keys {
		n, err := rdb.Exists(t.Context(), k).Result()
		require.NoError(t, err)
		require.Equal(t, k == other, n == 1, k)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	for name, cfg := range map[string]Config{
		"BROKER_ROLE is neither ingress nor dispatcher": {Role: "both", RedisURL: "redis://localhost", Broker: broker.DefaultConfig()},
		"REDIS_URL is not a Redis URL":                  {Role: Ingress, RedisURL: "http://user:secret@localhost", Broker: broker.DefaultConfig()},
		"broker configuration: BROKER_PARTITIONS: must be positive": {Role: Ingress, RedisURL: "redis://localhost", Broker: func() broker.Config {
			c := broker.DefaultConfig()
			c.Partitions = 0
			return c
		}()},
	} {
		_, err := open(cfg, log)
		require.ErrorContains(t, err, name)
		require.NotContains(t, err.Error(), "secret")
	}
}

// The process as a whole: it comes up, answers, and goes at the signal.
func TestRunStopsWhenToldTo(t *testing.T) {
	t.Parallel()
	url := servertest.Redis(t)
	for _, role := range []Role{Ingress, Dispatcher} {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			b := setup(t, url, "run-"+string(role))
			cfg := b.cfg
			cfg.Role, cfg.Address, cfg.AdminAddress = role, "127.0.0.1:0", "127.0.0.1:0"
			p, err := open(cfg, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			b.write(b.contract(1))
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- p.run(ctx) }()
			require.Eventually(t, func() bool { return p.generation.Load() == 1 }, serverTimeout, lookEvery/10)
			cancel()
			require.NoError(t, <-done)
		})
	}
}

// serverTimeout is generous: a real Redis on a busy machine is outside.
const serverTimeout = 20 * time.Second

func TestServersTakeFewHeaders(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config = newServer(http.NotFoundHandler())
	srv.Start()
	t.Cleanup(srv.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Tracestate", strings.Repeat("x", 80<<10))
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
}
