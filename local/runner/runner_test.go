package runner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the steps log there
	servertest.Main(m)
}

// jobTimeout is for a whole job on a loaded machine.
const jobTimeout = time.Minute

const sweep = `{"ticker":"DAX","fast_range":[5,20],"slow_range":[20,60],"step":5,"min_trades":10}`

// bundle is a running pipeline and its client.
type bundle struct {
	t     *testing.T
	local *runner.Local
}

func start(t *testing.T, cfg runner.Config) *bundle {
	t.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	if cfg.SimulatorDelay == 0 {
		cfg.SimulatorDelay = 100 * time.Millisecond
	}
	l, err := runner.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return &bundle{t: t, local: l}
}

// backends runs a story on the embedded stores and on real servers.
func backends(t *testing.T, story func(t *testing.T, cfg runner.Config)) {
	t.Run("embedded", func(t *testing.T) { story(t, runner.Config{}) })
	t.Run("servers", func(t *testing.T) {
		s := newServers(t)
		story(t, runner.Config{RedisURL: s.redis.URL, DatabaseURL: s.postgres.URL})
	})
}

// private is a Redis and a PostgreSQL that the test may kill.
type private struct {
	t        *testing.T
	dir      string
	redis    *servers.Redis
	postgres *servers.Postgres
}

func newServers(t *testing.T) *private {
	t.Helper()
	servertest.Redis(t) // skip, or fail, where there are none
	servertest.Postgres(t)
	dir, err := os.MkdirTemp("", "sweepline-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	s := &private{t: t, dir: dir}
	t.Cleanup(func() {
		s.redis.Stop()
		s.postgres.Stop()
		_ = os.RemoveAll(dir)
	})
	s.startRedis()
	s.startPostgres()
	return s
}

func (s *private) startRedis() {
	var err error
	s.redis, err = servers.StartRedis(context.Background(), s.dir+"/redis")
	require.NoError(s.t, err)
}

func (s *private) startPostgres() {
	var err error
	s.postgres, err = servers.StartPostgres(context.Background(), s.dir+"/postgres")
	require.NoError(s.t, err)
}

// post sends a sweep and gives the answer, its body read.
func (b *bundle) post(body, key string) (*http.Response, map[string]any) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.local.PublicURL+"/webhook/trading-sweep", strings.NewReader(body))
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	answer := map[string]any{}
	require.NoError(b.t, json.NewDecoder(resp.Body).Decode(&answer))
	return resp, answer
}

func (b *bundle) submit() string {
	b.t.Helper()
	resp, answer := b.post(sweep, "")
	require.Equal(b.t, http.StatusAccepted, resp.StatusCode, answer)
	return answer["job_id"].(string)
}

func (b *bundle) get(path string, into any) int {
	b.t.Helper()
	resp, err := http.Get(b.local.PublicURL + path)
	require.NoError(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	if into != nil && resp.StatusCode == http.StatusOK {
		require.NoError(b.t, json.NewDecoder(bytes.NewReader(body)).Decode(into))
	}
	return resp.StatusCode
}

func (b *bundle) job(id string) job.Job {
	b.t.Helper()
	var j job.Job
	require.Equal(b.t, http.StatusOK, b.get("/webhook/jobs/"+id, &j))
	return j
}

// types counts a job's timeline by event type.
func (b *bundle) types(id string) map[string]int {
	b.t.Helper()
	var timeline struct {
		Events []job.TimelineEvent `json:"events"`
	}
	if b.get("/api/jobs/"+id+"/events", &timeline) != http.StatusOK {
		return nil
	}
	n := map[string]int{}
	for _, e := range timeline.Events {
		n[e.Type]++
	}
	return n
}

// ended waits until the job has ended and its people have been told.
func (b *bundle) ended(id string) job.Job {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return b.types(id)[event.JobNotified] == 1 }, jobTimeout, 20*time.Millisecond, "job %s", id)
	return b.job(id)
}

func TestOneSweepFromWebhookToNotification(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, cfg runner.Config) {
		b := start(t, cfg)
		id := b.submit()
		require.Contains(t, []job.State{job.Queued, job.Running, job.Completed}, b.job(id).Status, "a job can be read from its 202 on")
		j := b.ended(id)
		require.Equal(t, job.Completed, j.Status)
		require.Equal(t, 35, j.Metrics.Combinations)
		require.Len(t, j.Results, 10)
		require.Greater(t, j.Results[0].Score, j.Results[9].Score)
		require.False(t, j.Metrics.Synthetic)
		require.Equal(t, "eu-indices-1991-1998.csv", j.Metrics.Data.Source)
		require.Equal(t, 1860, j.Metrics.Data.Bars)
		require.Equal(t, "1991.49615384615", j.Metrics.Data.FirstDay)
		require.Len(t, j.Metrics.Data.Hash, 64+len("sha256:"))
		require.Equal(t, map[string]int{
			event.SweepRequested: 1, event.SweepSubmitted: 1, event.SweepCompleted: 1, event.SweepCollected: 1, event.JobCompleted: 1, event.JobNotified: 1,
		}, b.types(id))

		var csv int
		resp, err := http.Get(b.local.PublicURL + "/api/jobs/" + id + "/results.csv")
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		csv = strings.Count(string(body), "\n")
		require.Equal(t, 36, csv, "a head and every row")
	})
}

func TestATickerWithoutPricesIsMarkedSynthetic(t *testing.T) {
	t.Parallel()
	b := start(t, runner.Config{})
	_, answer := b.post(strings.Replace(sweep, "DAX", "BTC-USD", 1), "")
	j := b.ended(answer["job_id"].(string))
	require.Equal(t, job.Completed, j.Status)
	require.True(t, j.Metrics.Synthetic)
	require.Equal(t, "synthetic", j.Metrics.Data.Source)
	require.Positive(t, j.Metrics.Data.Bars)
	require.Empty(t, j.Metrics.Data.FirstDay, "no day ever had these prices")
}

func TestTheSameKeyFiftyTimesAtOnceIsOneJob(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, cfg runner.Config) {
		b := start(t, cfg)
		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			ids   = map[string]bool{}
			fresh int
		)
		for range 50 {
			wg.Go(func() {
				resp, answer := b.post(sweep, "the-key")
				mu.Lock()
				defer mu.Unlock()
				if resp.StatusCode == http.StatusAccepted {
					ids[answer["job_id"].(string)] = true
				}
				if resp.Header.Get("Idempotency-Replayed") == "" {
					fresh++
				}
			})
		}
		wg.Wait()
		require.Len(t, ids, 1)
		require.Equal(t, 1, fresh)
		for id := range ids {
			j := b.ended(id)
			require.Equal(t, 35, j.Metrics.Combinations)
			require.Equal(t, 1, b.types(id)[event.SweepSubmitted])
		}
		resp, _ := b.post(strings.Replace(sweep, "DAX", "SMI", 1), "the-key")
		require.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
	})
}

func TestRedisGoneIsRefusedAndServiceComesBackByItself(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	b := start(t, runner.Config{RedisURL: s.redis.URL, DatabaseURL: s.postgres.URL})
	first := b.submit()
	s.redis.Kill()
	resp, _ := b.post(sweep, "")
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	s.startRedis()
	var second string
	require.Eventually(t, func() bool {
		resp, answer := b.post(sweep, "")
		if resp.StatusCode == http.StatusAccepted {
			second = answer["job_id"].(string)
		}
		return second != ""
	}, jobTimeout, 100*time.Millisecond)
	require.Equal(t, job.Completed, b.ended(first).Status)
	require.Equal(t, job.Completed, b.ended(second).Status)
}

func TestPostgresGoneRefusesAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	b := start(t, runner.Config{RedisURL: s.redis.URL, DatabaseURL: s.postgres.URL})
	first := b.submit()
	s.postgres.Kill()
	var ids []string
	for range 10 {
		ids = append(ids, b.submit())
	}
	require.Contains(t, []job.State{job.Queued, job.Running}, b.job(ids[9]).Status, "read from its wait record")
	s.startPostgres()
	for _, id := range append(ids, first) {
		require.Equal(t, job.Completed, b.ended(id).Status)
	}
}

func TestAFailedSweepFailsItsJob(t *testing.T) {
	t.Parallel()
	b := start(t, runner.Config{PricesDir: shortPrices(t)})
	_, answer := b.post(strings.Replace(sweep, "DAX", "TINY", 1), "")
	j := b.ended(answer["job_id"].(string))
	require.Equal(t, job.Failed, j.Status)
	require.Equal(t, job.SweepFailed, j.ErrorCode)
	require.NotEmpty(t, j.ErrorMessage)
	require.Equal(t, 1, b.types(j.JobID)[event.JobFailed])
}

// shortPrices is a folder with a ticker of too few days.
func shortPrices(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var csv strings.Builder
	csv.WriteString("date,close\n")
	for day := range 20 {
		fmt.Fprintf(&csv, "2024-01-%02d,%d\n", day+1, 100+day)
	}
	require.NoError(t, os.WriteFile(dir+"/TINY.csv", []byte(csv.String()), 0o600))
	return dir
}

func TestASecondProcessIsKeptOutOfTheFolder(t *testing.T) {
	t.Parallel()
	b := start(t, runner.Config{})
	_, err := runner.Start(t.Context(), runner.Config{DataDir: b.local.DataDir}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "--data-dir")
}
