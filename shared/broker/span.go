package broker

import (
	"context"
	"errors"
	"net/http"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	attr "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/telemetry"
)

// within moves ctx into the trace of a message, for its spans and log lines:
// that of the request it came with, or that which it carries itself where they
// differ.
func within(ctx context.Context, m *message) context.Context {
	if m.traceparent != "" {
		ctx = telemetry.FromHeader(ctx, http.Header{"Traceparent": {m.traceparent}, "Tracestate": {m.tracestate}})
	}
	own := m.get("traceparent")
	if own == "" {
		return ctx
	}
	e := cloudevents.New()
	e.SetExtension("traceparent", own)
	if state := m.get("tracestate"); state != "" {
		e.SetExtension("tracestate", state)
	}
	return telemetry.FromEvent(ctx, e)
}

// span begins the span of one attempt at delivering an entry.
func (l *lane) span(ctx context.Context, e *entry, attempt int, attrs ...attr.KeyValue) (context.Context, trace.Span) {
	if !telemetry.Traced(ctx) {
		return ctx, trace.SpanFromContext(context.Background())
	}
	k := l.sub.trigger.key()
	return telemetry.Span(within(ctx, e.msg), "dispatch "+k.name, trace.SpanKindProducer, append(attrs,
		attr.String("broker.namespace", k.namespace), attr.String("broker.name", k.broker),
		attr.String("broker.trigger", k.name), attr.Int("broker.attempt", attempt),
		attr.String("cloudevents.event_id", e.msg.get("id")), attr.String("cloudevents.event_type", e.msg.get("type")))...)
}

var errNotDelivered = errors.New("not delivered")

// endSpan gives an attempt's span its outcome.
func endSpan(span trace.Span, res result) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attr.Int("http.response.status_code", res.code))
	var err error
	if !res.ok {
		err = errNotDelivered
	}
	telemetry.End(span, err)
}
