package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/telemetry"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestLogLinesCarryTheContext(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelInfo)
	ctx := telemetry.FromHeader(t.Context(), http.Header{"Traceparent": {parent}})
	ctx = telemetry.With(ctx, slog.String("step", "submit"), slog.String("job_id", "outer"))

	log.DebugContext(ctx, "unseen")
	log.InfoContext(ctx, "job noted", "job_id", "inner")

	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line), "one line, and JSON: %s", &out)
	require.Equal(t, "job noted", line["msg"])
	require.Equal(t, "submit", line["step"])
	require.Equal(t, "inner", line["job_id"])
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", line["trace_id"])
	require.Equal(t, 1, bytes.Count(out.Bytes(), []byte(`"job_id"`)))
}

func TestWithDoesNotReachSiblings(t *testing.T) {
	t.Parallel()
	base := telemetry.With(t.Context(), slog.Int("a", 1))
	one, two := telemetry.With(base, slog.Int("b", 1)), telemetry.With(base, slog.Int("b", 2))
	require.Contains(t, logged(one), `"b":1`)
	require.Contains(t, logged(two), `"b":2`)
	require.NotContains(t, logged(base), `"b"`)
}

func logged(ctx context.Context) string {
	var out bytes.Buffer
	telemetry.NewLogger(&out, slog.LevelInfo).InfoContext(ctx, "line")
	return out.String()
}

func TestTraceTravelsInEvents(t *testing.T) {
	t.Parallel()
	ctx := telemetry.FromHeader(t.Context(), http.Header{"Traceparent": {parent}, "Tracestate": {"vendor=1"}})
	e := cloudevents.New()
	telemetry.IntoEvent(ctx, &e)
	require.Equal(t, parent, e.Extensions()["traceparent"])
	require.Equal(t, "vendor=1", e.Extensions()["tracestate"])

	back := telemetry.FromEvent(context.Background(), e)
	require.Equal(t, telemetry.TraceID(ctx), telemetry.TraceID(back))
	h := http.Header{}
	telemetry.IntoHeader(back, h)
	require.Equal(t, parent, h.Get("traceparent"))
}

func TestStart(t *testing.T) {
	t.Parallel()
	fresh, other := telemetry.Start(t.Context()), telemetry.Start(t.Context())
	require.Len(t, telemetry.TraceID(fresh), 32)
	require.NotEqual(t, telemetry.TraceID(fresh), telemetry.TraceID(other))

	given := telemetry.FromHeader(t.Context(), http.Header{"Traceparent": {parent}})
	next := telemetry.Start(given)
	require.Equal(t, telemetry.TraceID(given), telemetry.TraceID(next))
	h := http.Header{}
	telemetry.IntoHeader(next, h)
	require.NotEqual(t, parent, h.Get("traceparent"), "a new parent id in the same trace")

	bad := telemetry.FromHeader(t.Context(), http.Header{"Traceparent": {"00-nonsense"}})
	require.Empty(t, telemetry.TraceID(bad))
}

func TestRegisterTwiceGivesTheSame(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	counter := func() prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "things_total", Help: "Things."})
	}
	one := telemetry.Register(reg, counter())
	two := telemetry.Register(reg, counter())
	require.Same(t, one, two)
	require.Panics(t, func() {
		telemetry.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{Name: "things_total", Help: "Other."}))
	})
}
