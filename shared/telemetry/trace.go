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

// FromEvent takes up the trace that an event carries (CloudEvents Distributed
// Tracing extension). It wins over what the transport says: the event knows
// where the job began, a hop only where it came from.
func FromEvent(ctx context.Context, e cloudevents.Event) context.Context {
	return propagator.Extract(ctx, eventCarrier{&e})
}

// IntoEvent writes the context's trace into the event.
func IntoEvent(ctx context.Context, e *cloudevents.Event) {
	propagator.Inject(ctx, eventCarrier{e})
}

// Start returns a context that has a trace: the present one with a new parent
// id, or a new one, sampled.
func Start(ctx context.Context) context.Context {
	parent := trace.SpanContextFromContext(ctx)
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

func (c eventCarrier) Get(key string) string {
	s, _ := c.e.Extensions()[key].(string)
	return s
}

func (c eventCarrier) Set(key, value string) { c.e.SetExtension(key, value) }

func (c eventCarrier) Keys() []string {
	return []string{event.ExtTraceParent, event.ExtTraceState}
}
