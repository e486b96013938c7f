package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/telemetry/telemetrytest"
)

func TestSpansAreSent(t *testing.T) {
	t.Parallel()
	collector := telemetrytest.New(t)
	traces, err := telemetry.NewTraces(t.Context(), telemetry.TraceConfig{Endpoint: collector.URL})
	require.NoError(t, err)
	one, err := traces.Service(t.Context(), "one")
	require.NoError(t, err)
	two, err := traces.Service(t.Context(), "two")
	require.NoError(t, err)

	ctx := telemetry.FromHeader(t.Context(), http.Header{"Traceparent": {parent}})
	at := time.Now().Add(-3 * time.Hour)
	for _, p := range []trace.TracerProvider{one, two} { // two who tell of the same wait
		telemetry.Past(telemetry.WithTracer(ctx, p), "wait", "wait", at, at.Add(2*time.Hour), errors.New("timed_out"))
	}
	telemetry.Past(telemetry.WithTracer(ctx, one), "other", "other", at, at.Add(-time.Hour), nil)
	telemetry.Past(telemetry.WithTracer(context.Background(), one), "wait", "of no trace", at, at, nil)
	unsampled := telemetry.FromHeader(telemetry.WithTracer(t.Context(), one), http.Header{"Traceparent": {parent[:len(parent)-1] + "0"}})
	inner, span := telemetry.Span(unsampled, "unsampled", trace.SpanKindInternal)
	telemetry.End(span, nil)
	require.False(t, trace.SpanContextFromContext(inner).IsSampled(), "and whoever comes next is told so")
	_, span = telemetry.Span(telemetry.WithTracer(ctx, two), "failing", trace.SpanKindInternal)
	telemetry.End(span, errors.New("secret text"))
	require.NoError(t, traces.Close())

	tr := collector.Trace(t, "0af7651916cd43dd8448eb211c80319c")
	require.Len(t, collector.All(), 4)
	waits := tr.Named("wait")
	require.Len(t, waits, 2)
	require.Equal(t, waits[0].ID, waits[1].ID)
	require.Equal(t, 2*time.Hour, waits[0].End.Sub(waits[0].Start))
	require.Equal(t, "b7ad6b7169203331", waits[0].Parent)
	require.ElementsMatch(t, []string{"sweepline-one", "sweepline-two"}, []string{waits[0].Service, waits[1].Service})
	other := tr.One("other")
	require.NotEqual(t, waits[0].ID, other.ID)
	require.Equal(t, other.Start, other.End, "no span ends before it begins")
	require.True(t, tr.One("failing").Failed)
}

func TestTracesAreOffUnlessConfigured(t *testing.T) {
	t.Parallel()
	for _, cfg := range []telemetry.TraceConfig{
		{}, {Endpoint: "http://collector:4318", Disabled: true}, {Endpoint: "http://collector:4318", Exporter: "none"},
	} {
		traces, err := telemetry.NewTraces(t.Context(), cfg)
		require.NoError(t, err)
		require.Nil(t, traces)
		tracer, err := traces.Service(t.Context(), "x")
		require.NoError(t, err)
		require.NoError(t, traces.Close())
		ctx := telemetry.WithTracer(t.Context(), tracer)
		require.False(t, telemetry.Traced(ctx))
		after, span := telemetry.Span(ctx, "x", trace.SpanKindInternal)
		telemetry.End(span, errors.New("x"))
		require.Equal(t, ctx, after)
	}
}

func TestWrongTraceConfigIsNamed(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]telemetry.TraceConfig{
		"OTEL_EXPORTER_OTLP_ENDPOINT":        {Endpoint: "collector:4317"},
		"OTEL_EXPORTER_OTLP_ENDPOINT must":   {Endpoint: "http://collector/?secret"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": {TracesEndpoint: "grpc://secret@collector"},
		"OTEL_EXPORTER_OTLP_PROTOCOL":        {Endpoint: "http://collector", Protocol: "grpc"},
		"OTEL_EXPORTER_OTLP_TIMEOUT":         {Endpoint: "http://collector", Timeout: "10s"},
		"OTEL_EXPORTER_OTLP_CERTIFICATE":     {Endpoint: "https://collector", Certificate: "none.pem"},
		"OTEL_EXPORTER_OTLP_HEADERS":         {Endpoint: "http://collector", Headers: "Authorization: secret"},
		"OTEL_TRACES_EXPORTER":               {Endpoint: "http://collector", Exporter: "zipkin"},
	} {
		_, err := telemetry.NewTraces(t.Context(), cfg)
		require.ErrorContains(t, err, name)
		require.NotContains(t, err.Error(), "secret")
	}
}

// What is off costs nearly nothing: functions make spans without asking.
func BenchmarkSpanOff(b *testing.B) {
	ctx := b.Context()
	for b.Loop() {
		_, span := telemetry.Span(ctx, "x", trace.SpanKindInternal)
		telemetry.End(span, nil)
	}
}
