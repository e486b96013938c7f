package runner_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/telemetry/telemetrytest"
)

// postTraced sends a sweep as a client does that has a trace.
func (b *bundle) postTraced(traceID, spanID, flags string) string {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodPost, b.local.PublicURL+"/webhook/trading-sweep", strings.NewReader(sweep))
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("traceparent", "00-"+traceID+"-"+spanID+"-"+flags)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(b.t, http.StatusAccepted, resp.StatusCode)
	return strings.TrimPrefix(resp.Header.Get("Location"), "/webhook/jobs/")
}

// Not parallel: the environment says where traces go.
func TestOneSweepIsOneTrace(t *testing.T) {
	collector := telemetrytest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("TRADING_API_MAX_CONCURRENT", "1")
	const (
		client  = "b7ad6b7169203331"
		first   = "0af7651916cd43dd8448eb211c803191"
		parked  = "0af7651916cd43dd8448eb211c803192"
		unasked = "0af7651916cd43dd8448eb211c803193"
		delay   = 700 * time.Millisecond
	)
	b := start(t, runner.Config{SimulatorDelay: delay})
	ids := []string{b.postTraced(first, client, "01")}
	require.Eventually(t, func() bool { return b.job(ids[0]).Status == job.Running }, jobTimeout, 10*time.Millisecond)
	ids = append(ids, b.postTraced(parked, client, "01"), b.postTraced(unasked, client, "00"))
	for _, id := range ids {
		require.Equal(t, job.Completed, b.ended(id).Status)
	}
	require.NoError(t, b.local.Close()) // sends the last spans

	tr := collector.Trace(t, first)
	tr.RequireWhole(client)
	received := tr.One("receive POST")
	require.Equal(t, client, received.Parent, "the client's span is the root's parent")
	require.Equal(t, "sweepline-receive", received.Service)
	tr.One("send "+event.SweepRequested, "receive POST")
	dispatched := tr.One("dispatch submit", "send "+event.SweepRequested)
	require.Equal(t, "sweepline-broker", dispatched.Service)
	require.Equal(t, int64(1), dispatched.Ints["broker.attempt"])
	tr.One("submit "+event.SweepRequested, "dispatch submit")
	tr.One("trading API submit", "submit "+event.SweepRequested)
	tr.One("callback POST", "submit "+event.SweepRequested)
	tr.One("end wait", "callback POST")
	tr.One("send "+event.SweepCompleted, "end wait")
	collected := tr.One("collect "+event.SweepCompleted, "dispatch collect", "send "+event.SweepCompleted, "end wait")
	require.Equal(t, "sweepline-collect", collected.Service)
	tr.One("job store collect", "collect "+event.SweepCompleted)
	tr.One("trading API results", "collect "+event.SweepCompleted)
	stored := tr.One("store "+event.SweepCollected, "dispatch store", "collect "+event.SweepCompleted)
	require.Equal(t, "sweepline-store", stored.Service)
	for _, s := range tr.Named("job store apply") {
		require.Contains(t, tr.ParentOf(s), "store com.zixly.")
	}
	tr.One("dispatch notify", "store "+event.SweepCollected)
	tr.One("notify "+event.JobCompleted, "dispatch notify")
	tr.One("notify log", "notify "+event.JobCompleted)
	tr.One("send "+event.JobNotified, "notify "+event.JobCompleted)

	wait := tr.One("wait for results", "receive POST")
	require.GreaterOrEqual(t, wait.End.Sub(wait.Start), delay-50*time.Millisecond, "from submission to end")
	require.Equal(t, ids[0], wait.Strings["job.id"])
	require.Equal(t, "callback", wait.Strings["wait.via"])

	second := collector.Trace(t, parked)
	second.RequireWhole(client)
	line := second.One("wait in queue", "receive POST")
	results := second.One("wait for results", "receive POST")
	require.False(t, results.Start.Before(line.End.Add(-time.Second)), "first in line, then at the API")
	second.One("submit "+event.SweepAdmitted, "dispatch submit")
	require.Len(t, second.Named("dispatch submit"), 2)

	require.Empty(t, collector.Trace(t, unasked).Spans, "not sampled by the client")
	for _, s := range collector.All() {
		require.Contains(t, []string{first, parked}, s.TraceID, "%s is in a trace of its own", s.Name)
	}
}
