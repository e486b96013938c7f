// Package telemetry is how every step is seen from outside: JSON log lines
// that carry the step and the trace id of the job they speak of, the trace
// context that travels in headers and events, and Prometheus collectors that
// can be asked for twice.
package telemetry

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// NewLogger writes JSON lines to w. Lines logged with a context carry its
// trace_id and the attributes of With, unless the line names them itself.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(contextHandler{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})})
}

type attrsKey struct{}

// With returns a context whose log lines carry attrs as well.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	before := contextAttrs(ctx)
	return context.WithValue(ctx, attrsKey{}, append(before[:len(before):len(before)], attrs...))
}

func contextAttrs(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	return attrs
}

// contextHandler adds what the context knows to each line.
type contextHandler struct{ slog.Handler }

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	attrs := contextAttrs(ctx)
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		attrs = append(attrs[:len(attrs):len(attrs)], slog.String("trace_id", sc.TraceID().String()))
	}
	if len(attrs) == 0 {
		return h.Handler.Handle(ctx, r)
	}
	named := make(map[string]bool, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		named[a.Key] = true
		return true
	})
	r = r.Clone()
	for i := len(attrs) - 1; i >= 0; i-- { // the innermost With wins
		if a := attrs[i]; !named[a.Key] {
			named[a.Key] = true
			r.AddAttrs(a)
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}
