package supervise_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/local/simulator"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// channel is a sink that shows what comes.
type channel chan cloudevents.Event

func (c channel) Send(_ context.Context, events ...cloudevents.Event) error {
	for _, e := range events {
		c <- e
	}
	return nil
}

// TestASlotIsPassedOnAtOnce runs the real loops on the real clock.
func TestASlotIsPassedOnAtOnce(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{"miniredis": servertest.Miniredis, "redis": servertest.Redis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waits, err := wait.Open(t.Context(), wait.Config{RedisURL: url(t), KeyPrefix: "loops" + job.NewID() + ":", MaxConcurrent: 1})
			require.NoError(t, err)
			sim, err := simulator.New(simulator.Config{Workers: 1}, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			t.Cleanup(sim.Close)
			server := httptest.NewServer(sim.Handler())
			t.Cleanup(server.Close)
			api, err := trading.New(trading.Config{URL: server.URL})
			require.NoError(t, err)
			sink := make(channel, 100)
			// With this tick nothing would happen in time but for the push.
			f, err := supervise.New(supervise.Config{Tick: time.Hour}, waits, api, sink, prometheus.NewRegistry())
			require.NoError(t, err)
			require.NoError(t, f.Start(t.Context(), nil))
			require.Error(t, f.Start(t.Context(), nil))
			t.Cleanup(func() {
				require.NoError(t, f.Stop(context.Background()))
				require.NoError(t, waits.Close())
			})
			header := func() job.Header {
				return job.Header{JobID: job.NewID(), TenantID: "a", JobType: job.Type, CreatedAt: time.Now()}
			}
			first, err := waits.Enter(t.Context(), header())
			require.NoError(t, err)
			require.Equal(t, wait.FindFirst, first.Decision, "no record was there")
			var queue []string
			for range 10 {
				h := header()
				e, err := waits.Enter(t.Context(), h)
				require.NoError(t, err)
				require.Equal(t, wait.Queued, e.Decision)
				queue = append(queue, h.JobID)
			}
			holder := first.Record.Header.JobID
			var slowest time.Duration
			for _, next := range queue {
				began := time.Now()
				_, err := waits.Resolve(t.Context(), holder, wait.End{RunID: "run"})
				require.NoError(t, err)
				select {
				case e := <-sink:
					require.Equal(t, event.SweepAdmitted, e.Type())
					require.Equal(t, next, e.Subject())
				case <-time.After(10 * time.Second):
					require.FailNow(t, "nobody was admitted")
				}
				slowest = max(slowest, time.Since(began))
				holder = next
			}
			t.Logf("slowest of %d admissions: %s", len(queue), slowest)
			require.Less(t, slowest, 2*time.Second, "aim: 100ms; the rest is for a busy machine")

			// A cancel is carried out without a tick as well.
			_, err = waits.Cancel(t.Context(), holder)
			require.NoError(t, err)
			select {
			case e := <-sink:
				require.Equal(t, event.SweepFailed, e.Type())
				require.Equal(t, holder, e.Subject())
			case <-time.After(10 * time.Second):
				require.FailNow(t, "nobody was told of the cancel")
			}
		})
	}
}

func TestMetricsAreCountedFromEvents(t *testing.T) {
	t.Parallel()
	waits, err := wait.Open(t.Context(), wait.Config{RedisURL: servertest.Miniredis(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = waits.Close() })
	api, err := trading.New(trading.Config{})
	require.NoError(t, err)
	reg := prometheus.NewRegistry()
	f, err := supervise.New(supervise.Config{}, waits, api, make(channel), reg)
	require.NoError(t, err)

	h := job.Header{JobID: job.NewID(), TenantID: "acme", JobType: job.Type, CreatedAt: start}
	requested, err := event.NewRequested(event.Requested{Header: h})
	require.NoError(t, err)
	took := 42.0
	ended := start.Add(42 * time.Second)
	finished, err := event.NewFinished(job.Job{
		JobID: h.JobID, TenantID: "acme", JobType: job.Type, Status: job.Completed, CreatedAt: start, CompletedAt: &ended, DurationSeconds: &took,
		Ticker: "dax", Metrics: &job.Metrics{Combinations: 35, BestScore: 1.5},
	})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for _, e := range []cloudevents.Event{requested, finished, requested, finished} {
		wg.Go(func() {
			reply, err := f.Handle(t.Context(), e)
			if err != nil || reply != nil {
				t.Errorf("reply %v, error %v", reply, err)
			}
		})
	}
	wg.Wait()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	for _, line := range []string{
		`pipeline_jobs_queued_total{job_type="trading-sweep",tenant_id="acme"} 1`,
		`pipeline_jobs_processed_total{job_type="trading-sweep",status="completed"} 1`,
		`pipeline_job_duration_seconds_bucket{job_type="trading-sweep",status="completed",le="30"} 0`,
		`pipeline_job_duration_seconds_bucket{job_type="trading-sweep",status="completed",le="60"} 1`,
		`pipeline_jobs_processed_total{job_type="trading-sweep",status="failed"} 0`,
		`pipeline_results_total{ticker="DAX"} 35`,
		`pipeline_best_score{ticker="DAX"} 1.5`,
	} {
		require.Contains(t, w.Body.String(), line+"\n")
	}

	for n := range 80 { // whatever people send
		e, err := event.NewFinished(job.Job{
			JobID: job.NewID(), TenantID: "acme", JobType: job.Type, Status: job.Completed, CreatedAt: start,
			Ticker: fmt.Sprintf("T%02d", n), Metrics: &job.Metrics{Combinations: 1},
		})
		require.NoError(t, err)
		_, err = f.Handle(t.Context(), e)
		require.NoError(t, err)
	}
	w = httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	require.Equal(t, 51, strings.Count(w.Body.String(), "pipeline_results_total{"), "fifty tickers, and the others together")
	require.Contains(t, w.Body.String(), `pipeline_results_total{ticker="other"} 31`+"\n")
}
