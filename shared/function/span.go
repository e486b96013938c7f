package function

import (
	"context"
	"net/http"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/telemetry"
)

// Traced gives the requests to h a tracer, which may be nil.
func Traced(h http.Handler, p trace.TracerProvider) http.Handler {
	if p == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(telemetry.WithTracer(r.Context(), p)))
	})
}

// spanned makes a span of each request that asks for something to be done.
// Pages and event streams are looked at far more often and belong to no job's
// way; the metrics know of them.
func spanned(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !telemetry.Traced(r.Context()) {
			next.ServeHTTP(w, r)
			return
		}
		// The path may hold a job's id, and the query a token: neither is named.
		ctx, span := telemetry.Span(r.Context(), name+" POST", trace.SpanKindServer,
			attribute.String("http.request.method", http.MethodPost))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
		if out, ok := w.(*answer); ok {
			span.SetAttributes(attribute.Int("http.response.status_code", max(out.status, http.StatusOK)))
		}
	})
}

// eventSpan begins the span of a function's work on an event and makes it the
// event's parent, so that what is made of the event follows from it.
func eventSpan(ctx context.Context, name string, e *cloudevents.Event) (context.Context, trace.Span) {
	ctx, span := telemetry.Span(telemetry.FromEvent(ctx, *e), name+" "+e.Type(), trace.SpanKindConsumer,
		attribute.String("cloudevents.event_id", e.ID()), attribute.String("cloudevents.event_type", e.Type()),
		attribute.String("cloudevents.event_subject", e.Subject()))
	telemetry.IntoEvent(ctx, e)
	return ctx, span
}

// failure is err, unless it says that the event was taken.
func failure(err error) error {
	if err == nil || protocol.IsACK(err) {
		return nil
	}
	return err
}
