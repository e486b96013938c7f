package telemetry

import (
	"context"
	"crypto/sha256"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope names what makes the spans.
const scope = "github.com/zixly/sweepline"

type tracerKey struct{}

// WithTracer returns a context whose spans are those of p's service. Without
// it there are none, and Span costs a look at the context. It travels in the
// context and is no global, because the local runner is many services.
func WithTracer(ctx context.Context, p trace.TracerProvider) context.Context {
	if p == nil {
		return ctx
	}
	return context.WithValue(ctx, tracerKey{}, p.Tracer(scope))
}

func tracerOf(ctx context.Context) trace.Tracer {
	t, _ := ctx.Value(tracerKey{}).(trace.Tracer)
	return t
}

// Traced reports whether spans are made in ctx at all.
func Traced(ctx context.Context) bool { return tracerOf(ctx) != nil }

// Span begins a span within the context's trace, or a new trace; End gives it
// its outcome. Attributes are ids and numbers, never what people sent.
func Span(ctx context.Context, name string, kind trace.SpanKind, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	t := tracerOf(ctx)
	if t == nil {
		return ctx, noop.Span{}
	}
	return t.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attrs...)) //nolint:spancheck // the caller ends it
}

// End ends a span: as failed where err is not nil. The error's text stays in
// the logs.
func End(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "see the log")
	}
	span.End()
}

// Past tells of something that took hours and that no process was there for
// from beginning to end. The span's id is made of the trace and key, so that
// two who tell of the same make the same span. Without a trace there is none.
func Past(ctx context.Context, key, name string, from, until time.Time, err error, attrs ...attribute.KeyValue) {
	t := tracerOf(ctx)
	parent := trace.SpanContextFromContext(ctx)
	if t == nil || !parent.IsValid() {
		return
	}
	if until.Before(from) {
		until = from
	}
	id := parent.TraceID()
	sum := sha256.Sum256(append(id[:], key...))
	ctx = context.WithValue(ctx, spanIDKey{}, trace.SpanID(sum[:8]))
	_, span := t.Start(ctx, name, trace.WithTimestamp(from), trace.WithAttributes(attrs...))
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End(trace.WithTimestamp(until))
}
