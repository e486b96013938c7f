package telemetry

import (
	"context"
	"crypto/rand"
	"net/http"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/event"
)

// propagator reads and writes W3C Trace Context: traceparent and tracestate.
var propagator propagation.TraceContext

// FromHeader takes up the trace that the headers name. Malformed headers are
// as good as none (W3C Trace Context, 3.2.2.3).
func FromHeader(ctx context.Context, h http.Header) context.Context {
	return propagator.Extract(ctx, propagation.HeaderCarrier(h))
}

// IntoHeader names the context's trace in the headers of an outgoing request.
func IntoHeader(ctx context.Context, h http.Header) {
	propagator.Inject(ctx, propagation.HeaderCarrier(h))
}

// IntoMap names the context's trace in headers that somebody else sends.
func IntoMap(ctx context.Context, m map[string]string) {
	propagator.Inject(ctx, propagation.MapCarrier(m))
}

// FromEvent takes up the trace that an event carries (CloudEvents Distributed
// Tracing extension). It wins over what the transport says, since the event
// knows where the job began and a hop only where it came from; where both are
// of one trace, the hop is the nearer parent.
func FromEvent(ctx context.Context, e cloudevents.Event) context.Context {
	return Within(ctx, trace.SpanContextFromContext(propagator.Extract(context.Background(), eventCarrier{&e})))
}

// Within moves ctx into the trace of sc, unless it is there already or sc is
// none.
func Within(ctx context.Context, sc trace.SpanContext) context.Context {
	if !sc.IsValid() || trace.SpanContextFromContext(ctx).TraceID() == sc.TraceID() {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, sc)
}

// IntoEvent writes the context's trace into the event.
func IntoEvent(ctx context.Context, e *cloudevents.Event) {
	propagator.Inject(ctx, eventCarrier{e})
}

// Start returns a context that has a trace for a job to live in: the present
// one with a new parent id, or a new one, sampled. Where spans are made the
// parent is a span of ours; elsewhere the trace is a name in logs and events.
func Start(ctx context.Context) context.Context {
	parent := trace.SpanContextFromContext(ctx)
	if Traced(ctx) {
		if parent.IsValid() && !parent.IsRemote() {
			return ctx
		}
		ctx, span := Span(ctx, "take job in", trace.SpanKindInternal)
		span.End()
		return ctx
	}
	cfg := trace.SpanContextConfig{TraceID: parent.TraceID(), TraceFlags: parent.TraceFlags(), TraceState: parent.TraceState()}
	if !parent.HasTraceID() {
		_, _ = rand.Read(cfg.TraceID[:]) // never fails: crypto/rand aborts instead
		cfg.TraceFlags = trace.FlagsSampled
	}
	_, _ = rand.Read(cfg.SpanID[:])
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(cfg))
}

// TraceID is the trace id in hex, or "" without a trace.
func TraceID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		return sc.TraceID().String()
	}
	return ""
}

// eventCarrier lets the propagator read and write event extensions.
type eventCarrier struct{ e *cloudevents.Event }

func (c eventCarrier) Get(key string) string { return event.Extension(c.e, key) }

func (c eventCarrier) Set(key, value string) { c.e.SetExtension(key, value) }

func (c eventCarrier) Keys() []string {
	return []string{event.ExtTraceParent, event.ExtTraceState}
}
