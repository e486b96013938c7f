package wait

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// encodeTrace keeps the context's trace in 25 bytes, so that what the
// supervisor sends hours later still belongs to it. It is "" without a trace.
func encodeTrace(ctx context.Context) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return ""
	}
	id, span := sc.TraceID(), sc.SpanID()
	return string(id[:]) + string(span[:]) + string([]byte{byte(sc.TraceFlags())})
}

func decodeTrace(s string) trace.SpanContext {
	if len(s) != 25 {
		return trace.SpanContext{}
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID([]byte(s[:16])), SpanID: trace.SpanID([]byte(s[16:24])),
		TraceFlags: trace.TraceFlags(s[24]), Remote: true,
	})
}
