package simulator_test

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/simulator"
)

func TestCallbackFaults(t *testing.T) {
	t.Parallel()
	run := func(change func(*simulator.Config)) (*bundle, int) {
		b := setup(t, change)
		for range 20 {
			b.submit(nil)
		}
		b.running(20)
		b.clock.Advance(time.Hour)
		b.idle()
		return b, len(b.hooks)
	}
	base := func(c *simulator.Config) { c.MaxConcurrent = 0 }
	_, n := run(base)
	require.Equal(t, 20, n)

	b, n := run(func(c *simulator.Config) { base(c); c.LoseCallbacks = 1 })
	require.Zero(t, n)
	require.EqualValues(t, 20, b.sim.Stats().CallbacksLost)

	_, n = run(func(c *simulator.Config) { base(c); c.DuplicateCallbacks = 1 })
	require.Equal(t, 40, n)

	some := func(c *simulator.Config) { base(c); c.LoseCallbacks, c.Fail, c.Seed = 0.5, 0.3, 42 }
	b, n = run(some)
	require.Positive(t, n)
	require.Less(t, n, 20)
	again, m := run(some)
	require.Equal(t, n, m, "the same seed gives the same faults")
	require.Equal(t, b.sim.Stats().Failed, again.sim.Stats().Failed)
	require.Positive(t, b.sim.Stats().Failed)
}

func TestLateCallbacksWaitForTheClock(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *simulator.Config) { c.LateCallbacks = time.Hour })
	b.submit(nil)
	b.running(1)
	b.clock.Advance(time.Hour)
	b.ended(1)
	b.clock.Advance(time.Millisecond)
	require.Zero(t, b.sim.Stats().CallbacksSent)
	b.clock.Advance(time.Hour)
	b.idle()
	require.Len(t, b.hooks, 1)
}

func TestWebhookIsOneAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.submit(object{"webhook_url": b.sink + "/refuse"})
	b.submit(object{"webhook_url": b.sink + "/redirect"})
	b.submit(object{"webhook_url": nil})
	b.running(3)
	b.clock.Advance(time.Hour)
	b.idle()
	require.Len(t, b.hooks, 2)
	require.EqualValues(t, 2, b.sim.Stats().CallbacksSent)
	require.EqualValues(t, 2, b.sim.Stats().CallbacksRefused)
}

func TestSyntheticIsMarked(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for _, ticker := range []string{"BTC-USD", "AAPL"} {
		id := b.submit(object{"ticker": ticker, "strategy_type": "MACD"})
		b.running(1)
		b.clock.Advance(time.Hour)
		b.idle()
		<-b.hooks
		data := b.job(id)["result_data"].(object)
		require.Equal(t, true, data["synthetic"])
		page := b.get("/api/v1/sweeps/" + data["sweep_run_id"].(string))
		require.Equal(t, true, page["synthetic"])
		row := page["results"].([]any)[0].(object)
		require.EqualValues(t, 9, row["signal_period"])
		require.Equal(t, ticker, row["ticker"])
		for name, v := range row {
			if f, ok := v.(float64); ok {
				require.False(t, math.IsNaN(f) || math.IsInf(f, 0), name)
			}
		}
	}
}

func TestPricesFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	b := setup(t, func(c *simulator.Config) { c.PricesDir = dir })
	end := func(ticker string) object {
		id := b.submit(object{"ticker": ticker})
		b.running(1)
		b.clock.Advance(time.Hour)
		b.idle()
		<-b.hooks
		return b.job(id)
	}
	write("TINY.csv", "date,close\n2024-01-02,10\n2024-01-03,11\n")
	j := end("TINY")
	require.Equal(t, "failed", j["status"])
	require.Equal(t, "insufficient data for TINY: 2 daily closes, at least 70 needed for a slow period of 40", j["error_message"])

	write("bad.csv", "date,close\n2024-01-02,-1\n")
	require.Equal(t, `read prices bad.csv: line 2: "-1": must be a positive price`, end("BAD")["error_message"])

	wide := strings.Builder{}
	wide.WriteString("time,GOLD,OIL\n")
	for i := range 200 {
		wide.WriteString(time.Date(2024, 1, i+1, 0, 0, 0, 0, time.UTC).Format("2006-01-02") + ",100,50\n")
	}
	write("wide.csv", wide.String())
	j = end("GOLD")
	require.Equal(t, "completed", j["status"])
	require.Equal(t, "wide.csv", j["result_data"].(object)["data_source"])
	require.Equal(t, false, j["result_data"].(object)["synthetic"])
	require.Equal(t, true, end("../wide")["result_data"].(object)["synthetic"], "no path leaves the folder")
}

func TestRestartKeepsJobs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep := func(c *simulator.Config) { c.StateDir, c.MaxConcurrent = dir, 1 }
	b := setup(t, keep)
	ended := b.submit(nil)
	b.running(1)
	b.clock.Advance(time.Hour)
	b.idle()
	run := b.job(ended)["result_data"].(object)["sweep_run_id"].(string)
	rows := b.get("/api/v1/sweeps/" + run)["results"]
	open := []string{b.submit(nil), b.submit(nil)}
	b.sim.Close()
	// A killed process leaves a torn line.
	f, err := os.OpenFile(filepath.Join(dir, "simulator.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"id":"torn`)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	b = setup(t, keep)
	require.Equal(t, "completed", b.job(ended)["status"])
	require.Equal(t, rows, b.get("/api/v1/sweeps/" + run)["results"], "rows are computed again")
	for i := range open {
		b.running(1)
		b.clock.Advance(time.Hour)
		b.ended(i + 1)
	}
	b.idle()
	for _, id := range open {
		require.Equal(t, "completed", b.job(id)["status"])
	}
	require.EqualValues(t, 3, b.sim.Stats().Submissions)
}

func TestDownAndFastPolls(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	id := b.submit(nil)
	b.job(id)
	b.clock.Advance(time.Second)
	b.job(id)
	require.Zero(t, b.sim.Stats().FastPolls)
	b.job(id)
	require.EqualValues(t, 1, b.sim.Stats().FastPolls)
	b.sim.SetDown(true)
	for _, path := range []string{"/health", "/api/v1/jobs/" + id} {
		status, _, header := b.do("GET", path, "", "")
		require.Equal(t, 503, status)
		require.NotEmpty(t, header.Get("Retry-After"))
	}
	b.sim.SetDown(false)
	b.job(id)
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	_, err := simulator.New(simulator.Config{Fail: math.NaN(), LoseCallbacks: 1.5, Delay: -1, WebhookDialect: "x", StatusDialect: "y"}, log)
	for _, name := range []string{"FAIL", "LOSE_CALLBACKS", "DELAY", "WEBHOOK_DIALECT", "STATUS_DIALECT"} {
		require.ErrorContains(t, err, "SIMULATOR_"+name+":")
	}
	_, err = simulator.New(simulator.Config{}, nil)
	require.Error(t, err)
	s, err := simulator.New(simulator.Config{}, log)
	require.NoError(t, err)
	s.Close()
}

func TestDefaultsAreTheSameFromTheEnvironment(t *testing.T) {
	t.Parallel()
	var cfg simulator.Config
	require.NoError(t, envconfig.Process("", &cfg))
	require.Equal(t, simulator.DefaultConfig(), cfg)
}
