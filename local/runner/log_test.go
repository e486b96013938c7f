package runner_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/telemetry"
)

// journal is a log that many write to.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// of gives the lines that name the job, in order.
func (j *journal) of(t *testing.T, id string) (lines []map[string]any) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for text := range strings.Lines(j.text.String()) {
		line := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(text), &line), "a line is JSON: %s", text)
		if line["job_id"] == id {
			lines = append(lines, line)
		}
	}
	return lines
}

// Not parallel: functions log through slog's default.
func TestLogLinesOfOneSweep(t *testing.T) {
	log := &journal{}
	logger := telemetry.NewLogger(log, slog.LevelInfo)
	before := slog.Default()
	slog.SetDefault(logger)
	t.Cleanup(func() { slog.SetDefault(before) })
	l, err := runner.Start(t.Context(), runner.Config{
		DataDir: t.TempDir(), SimulatorDelay: 300 * time.Millisecond, PricesDir: shortPrices(t),
	}, logger)
	require.NoError(t, err)
	b := &bundle{t: t, local: l}
	t.Cleanup(func() { require.NoError(t, l.Close()) })

	good := b.submit()
	_, answer := b.post(strings.Replace(sweep, "DAX", "TINY", 1), "")
	bad := answer["job_id"].(string)
	for id, want := range map[string]struct{ ticker, end, status string }{
		good: {"DAX", "Job completed", "completed"}, bad: {"TINY", "Job failed", "failed"},
	} {
		j := b.ended(id)
		lines := log.of(t, id)
		var said []string
		for _, line := range lines {
			msg := line["msg"].(string)
			require.Regexp(t, "^[0-9a-f]{32}$", line["trace_id"], "every line names the trace: %v", line)
			require.Equal(t, lines[0]["trace_id"], line["trace_id"], "and it is one: %v", line)
			require.NotEmpty(t, line["time"])
			require.NotEmpty(t, line["level"])
			if !strings.HasPrefix(msg, "Job ") {
				continue
			}
			said = append(said, msg)
			require.Equal(t, job.Type, line["job_type"], msg)
			require.Equal(t, "default", line["tenant_id"], msg)
			require.Equal(t, want.ticker, line["ticker"], msg)
			switch msg {
			case "Job queued":
				require.Equal(t, "QUEUED", line["status"])
			case "Job started":
				require.Equal(t, "RUNNING", line["status"])
				requireTime(t, *j.StartedAt, line["started_at"])
			case want.end:
				require.Equal(t, want.status, line["status"])
				requireTime(t, *j.StartedAt, line["started_at"])
				require.Equal(t, *j.DurationSeconds, line["duration_seconds"])
				require.Equal(t, j.SweepRunID, line["sweep_run_id"])
			}
		}
		require.Equal(t, []string{"Job queued", "Job started", want.end}, said)
	}
}

func requireTime(t *testing.T, want time.Time, got any) {
	t.Helper()
	text, ok := got.(string)
	require.True(t, ok, "%v is no time", got)
	at, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	require.WithinDuration(t, want, at, time.Millisecond)
}
