//go:build !race

package soak_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/simulator"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/telemetry/telemetrytest"
)

// TestOneTraceOverRestarts: every process is told to end while the sweep is at
// the API, and another one takes its place; the trace is one all the same, and
// the wait, of which no process saw both ends, is one span in it.
func TestOneTraceOverRestarts(t *testing.T) {
	alone(t)
	collector := telemetrytest.New(t)
	const delay = 8 * time.Second
	w := newWorld(t, simulator.Config{Delay: delay, Workers: 1, Seed: 1}, unlimited,
		"OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_BSP_SCHEDULE_DELAY=100")
	id := w.request("small")
	require.Eventually(t, func() bool { return w.types("small", id)[event.SweepSubmitted] > 0 }, time.Minute, 20*time.Millisecond)
	for name, p := range w.procs {
		p.restart(syscall.SIGTERM)
		require.Equal(t, 2, p.lives, name)
	}
	for _, p := range w.procs {
		p.awaitReady()
	}
	require.Zero(t, w.types("small", id)[event.SweepCompleted], "the sweep outlasts the restarts")
	jobs := w.awaitEnds("small", []string{id}, 2*time.Minute)
	w.requireCompleted(jobs)
	for _, p := range w.procs {
		p.stop(syscall.SIGTERM) // which sends the last spans
	}

	traces := map[string]bool{}
	for _, s := range collector.All() {
		traces[s.TraceID] = true
	}
	require.Len(t, traces, 1)
	for traceID := range traces {
		tr := collector.Trace(t, traceID)
		tr.RequireWhole("")
		require.Empty(t, tr.One("receive POST").Parent, "nobody called with a trace")
		before := tr.One("submit "+event.SweepRequested, "dispatch submit")
		tr.One("callback POST", "submit "+event.SweepRequested)
		after := tr.One("store "+event.SweepCollected, "dispatch store", "collect "+event.SweepCompleted)
		tr.One("notify "+event.JobCompleted, "dispatch notify")
		wait := tr.One("wait for results", "receive POST")
		require.GreaterOrEqual(t, wait.End.Sub(wait.Start), delay-time.Second)
		require.True(t, wait.Start.Before(before.End.Add(time.Second)) && wait.End.Before(after.End), "it spans the gap")

		// The lines of all processes name the trace.
		for name, line := range map[string]string{"receive": "Job queued", "submit": "Job started", "callback": "callback handled", "store": "Job completed"} {
			require.Contains(t, w.said(name, line), traceID, "%s: %s", name, line)
		}
	}
}

// said gives the first line of a process' log that holds text.
func (w *world) said(name, text string) string {
	w.t.Helper()
	log := w.procs[name].everything()
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			return line
		}
	}
	require.Fail(w.t, "no such line", "%s said nothing of %q", name, text)
	return ""
}
