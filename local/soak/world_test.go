//go:build !race

package soak_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/knative/config"
	"github.com/zixly/sweepline/local/simulator"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/servers"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// world is a whole pipeline of processes.
type world struct {
	t        *testing.T
	sim      *simulator.Simulator
	api      *httptest.Server
	procs    map[string]*process
	jobStore *postgres.Store
	http     *http.Client
}

// quick shortens the leases for runs that have no time to wait for them; the
// long run has the defaults.
var quick = []string{
	"SUBMIT_LEASE=4s", "ADMISSION_TIMEOUT=4s", "SUPERVISE_LEASE=4s", "ACTION_DELAY=1s", "POLL_MIN=1s", "POLL_MAX=2s",
	"POLL_FIRST=2s", "BROKER_CLAIM_IDLE=4s", "BROKER_BLOCK=200ms",
}

// newWorld starts everything. extra are environment variables of all functions.
func newWorld(t *testing.T, cfg simulator.Config, extra ...string) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "sweepline-soak-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	logs := dir
	if settings.Logs != "" {
		logs = filepath.Join(settings.Logs, t.Name())
		require.NoError(t, os.MkdirAll(logs, 0o750))
	}
	w := &world{t: t, procs: map[string]*process{}, http: &http.Client{Timeout: 10 * time.Second}}
	w.sim, err = simulator.New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(w.sim.Close)
	w.api = httptest.NewServer(w.sim.Handler())
	t.Cleanup(w.api.Close)

	servertest.Redis(t) // skip, or fail, where there is none
	database := servertest.Postgres(t)
	store, err := servers.StartRedis(t.Context(), filepath.Join(dir, "redis"))
	require.NoError(t, err)
	t.Cleanup(store.Stop)
	w.jobStore, err = postgres.Open(t.Context(), postgres.Config{DatabaseURL: database, Migrate: true, Timeout: 10 * time.Second, BulkTimeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.jobStore.Close() })

	brokerPort, adminPort := servertest.Port(t), servertest.Port(t)
	callbackPort := servertest.Port(t)
	env := []string{
		"REDIS_URL=" + store.URL, "DATABASE_URL=" + database,
		"TRADING_API_URL=" + w.api.URL, "CALLBACK_SECRET=a-secret-of-the-soak", "EVENT_SEAL_KEY=soak-soak-soak-soak", "TENANT_KEYS=big:key-of-the-tenant-big,small:key-of-the-tenant-small",
		"TENANT_REQUESTS_PER_SECOND=0", "TENANT_OPEN_JOBS=0",
		fmt.Sprintf("K_SINK=http://127.0.0.1:%d/sweepline/default", brokerPort),
		fmt.Sprintf("WEBHOOK_BASE_URL=http://127.0.0.1:%d", callbackPort),
	}
	if !settings.Soak {
		env = append(env, quick...)
	}
	env = append(env, extra...)
	add := func(name, program string, port int, ready string, args ...string) *process {
		log, err := os.Create(filepath.Join(logs, name+".log"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = log.Close() })
		p := &process{t: t, name: program, args: args, port: port, log: log, ready: ready,
			env: append(env[:len(env):len(env)], fmt.Sprintf("PORT=%d", port))}
		w.procs[name] = p
		return p
	}
	for _, name := range []string{"receive", "submit", "callback", "collect", "store", "notify", "supervise"} {
		port := servertest.Port(t)
		if name == "callback" {
			port = callbackPort
		}
		add(name, name, port, fmt.Sprintf("http://127.0.0.1:%d/readyz", port))
	}
	// A second supervisor; events go to the first one.
	port := servertest.Port(t)
	add("supervise-2", "supervise", port, fmt.Sprintf("http://127.0.0.1:%d/readyz", port))
	w.writeManifests(filepath.Join(dir, "config"))
	add("broker", "sweepline", brokerPort, fmt.Sprintf("http://127.0.0.1:%d/readyz", adminPort),
		"broker", "--config", filepath.Join(dir, "config"), "--port", fmt.Sprint(brokerPort), "--admin-port", fmt.Sprint(adminPort))

	t.Cleanup(func() {
		for name, p := range w.procs {
			p.stop(syscall.SIGKILL)
			if t.Failed() {
				t.Logf("%s said last:\n%s", name, p.tail())
			}
		}
	})
	for _, p := range w.procs {
		require.NoError(t, p.start())
	}
	for _, p := range w.procs {
		p.awaitReady()
	}
	return w
}

var serviceRef = regexp.MustCompile(`ref: \{apiVersion: serving\.knative\.dev/v1, kind: Service, name: (\w+)\}(?:\n +uri: (\S+))?`)

// writeManifests puts our processes where the pipeline's manifests name Knative
// Services.
func (w *world) writeManifests(dir string) {
	w.t.Helper()
	require.NoError(w.t, os.MkdirAll(dir, 0o750))
	files, err := fs.Sub(config.Pipeline, "base")
	require.NoError(w.t, err)
	for _, name := range []string{"100-broker.yaml", "200-triggers.yaml"} {
		text, err := fs.ReadFile(files, name)
		require.NoError(w.t, err)
		text = serviceRef.ReplaceAllFunc(text, func(ref []byte) []byte {
			m := serviceRef.FindSubmatch(ref)
			return []byte("uri: " + w.procs[string(m[1])].url() + string(m[2]))
		})
		require.NotContains(w.t, string(text), "serving.knative.dev")
		require.NoError(w.t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
}

// request asks for a small sweep until it is accepted, as a client with an
// idempotency key does.
func (w *world) request(tenant string) string {
	w.t.Helper()
	body, err := json.Marshal(job.Sweep{
		Ticker: "SMI", FastRange: [2]int{5, 10}, SlowRange: [2]int{20, 30}, Step: 5, MinTrades: 10, StrategyType: job.SMA,
	})
	require.NoError(w.t, err)
	key := job.NewID()
	var id, said string
	accepted := assert.Eventually(w.t, func() bool {
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.procs["receive"].url()+"/webhook/trading-sweep", bytes.NewReader(body))
		if err != nil {
			return false
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Authorization", "Bearer key-of-the-tenant-"+tenant)
		resp, err := w.http.Do(req)
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		var a struct {
			JobID string `json:"job_id"`
		}
		text, err := io.ReadAll(resp.Body)
		said = resp.Status + " " + string(text)
		if err != nil || resp.StatusCode != http.StatusAccepted || json.Unmarshal(text, &a) != nil {
			return false
		}
		id = a.JobID
		return true
	}, 30*time.Second, 50*time.Millisecond, "nobody takes the job")
	require.True(w.t, accepted, said)
	return id
}

func (w *world) requests(tenant string, n int) []string {
	w.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = w.request(tenant)
	}
	return ids
}

// awaitEnds waits until the end of every job has been told, and returns them.
// Each has one end in its timeline.
func (w *world) awaitEnds(tenant string, ids []string, handleTimeout time.Duration) []job.Job {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), handleTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	jobs := make([]job.Job, 0, len(ids))
	for _, id := range ids {
		for {
			n := w.types(tenant, id)
			if n[event.JobNotified] > 0 {
				require.Equal(w.t, 1, n[event.JobCompleted]+n[event.JobFailed], "ends of job %s: %v", id, n)
				break
			}
			select {
			case <-ctx.Done():
				s := w.sim.Stats()
				require.FailNow(w.t, "job "+id+" did not end", "%d of %d had; its events %v; API %+v", len(jobs), len(ids), n, s)
			case <-tick.C:
			}
		}
		j, err := w.jobStore.Job(w.t.Context(), tenant, id)
		require.NoError(w.t, err)
		jobs = append(jobs, j)
	}
	return jobs
}

func (w *world) types(tenant, id string) map[string]int {
	events, err := w.jobStore.Timeline(w.t.Context(), tenant, id)
	if err != nil {
		return nil // nobody has written it down yet
	}
	n := map[string]int{}
	for _, e := range events {
		n[e.Type]++
	}
	return n
}

// requireCompleted: all of them, with their results, by one sweep each.
func (w *world) requireCompleted(jobs []job.Job) {
	w.t.Helper()
	for _, j := range jobs {
		require.Equal(w.t, job.Completed, j.Status, "job %s: %s %s", j.JobID, j.ErrorCode, j.ErrorMessage)
		require.Equal(w.t, 6, j.Metrics.Combinations)
		require.NotNil(w.t, j.StartedAt, "job %s is done and never began", j.JobID)
	}
	byURL := w.sim.SubmissionsByURL()
	for u, n := range byURL {
		require.Equal(w.t, 1, n, "sweeps of %s", u)
	}
}

// killer ends and restarts processes, one after another, until stop is called,
// which returns how many lives it took.
func (w *world) killer(every time.Duration, sig syscall.Signal, names ...string) (stop func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		tick := time.NewTicker(every / time.Duration(len(names)))
		defer tick.Stop()
		n := 0
		defer func() { done <- n }()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.procs[names[n%len(names)]].restart(sig)
				n++
			}
		}
	}()
	return func() int {
		cancel()
		return <-done
	}
}
