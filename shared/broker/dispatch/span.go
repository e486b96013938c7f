package dispatch

import (
	"context"
	"errors"
	"net/http"

	sdk "github.com/cloudevents/sdk-go/v2/event"
	attr "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/telemetry"
)

// within moves ctx into the trace of a message, for its spans and log lines:
// that of the request it came with, or that which it carries itself where they
// differ.
func within(ctx context.Context, m *cloudevent.Message) context.Context {
	if m.Traceparent != "" {
		ctx = telemetry.FromHeader(ctx, http.Header{"Traceparent": {m.Traceparent}, "Tracestate": {m.Tracestate}})
	}
	own := m.Get("traceparent")
	if own == "" {
		return ctx
	}
	e := sdk.New()
	e.SetExtension("traceparent", own)
	if state := m.Get("tracestate"); state != "" {
		e.SetExtension("tracestate", state)
	}
	return telemetry.FromEvent(ctx, e)
}

// span begins the span of one attempt at delivering an entry.
func (s *subscription) span(ctx context.Context, d *delivery, attempt int, attrs ...attr.KeyValue) (context.Context, trace.Span) {
	if !telemetry.Traced(ctx) {
		return ctx, trace.SpanFromContext(context.Background())
	}
	t, m := s.conf.Load().trigger, d.entry.Message
	return telemetry.Span(within(ctx, m), "dispatch "+t.Name, trace.SpanKindProducer, append(attrs,
		attr.String("broker.namespace", t.Namespace), attr.String("broker.name", t.Broker),
		attr.String("broker.trigger", t.Name), attr.Int("broker.attempt", attempt),
		attr.String("cloudevents.event_id", m.Get("id")), attr.String("cloudevents.event_type", m.Get("type")))...)
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
