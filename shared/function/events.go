package function

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/zixly/sweepline/shared/handover"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
)

// maxReason bounds the text that goes back to the broker with an error.
const maxReason = 1 << 10

// eventHandler gives each posted event to fn. It answers as func-go's own
// handler does (200 with or without a reply, the result's status, 500), with
// two differences: each call gets its own request's context, which in the
// SDK's receiver may be that of another request under way; and a Retry-After
// is passed on.
func eventHandler(g *guard, fn EventFunction) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			WriteMethodNotAllowed(w, http.MethodPost)
			return
		}
		r = byPath(r)
		if handover.Handed(r) {
			if to := handover.WriterOf(w); to != nil {
				handleHanded(g, fn, to, w, r)
				return
			}
		}
		if err := countMembers(r); err != nil {
			refuseEvent(w, err)
			return
		}
		if mediaType(r) == event.ApplicationCloudEventsBatchJSON {
			handleBatch(g, fn, w, r)
			return
		}
		e, err := binding.ToEvent(r.Context(), cehttp.NewMessageFromHttpRequest(r))
		if err == nil {
			err = e.Validate()
		}
		if err != nil {
			refuseEvent(w, err)
			return
		}
		if err := g.check(r.Context(), e); err != nil {
			writeOutcome(r.Context(), w, err)
			return
		}
		ctx, o := handle(r.Context(), g, fn, e)
		if writeOutcome(ctx, w, o.Err) && o.Reply != nil {
			_ = cehttp.WriteResponseWriter(binding.WithForceBinary(ctx), binding.ToMessage(o.Reply), http.StatusOK, w)
		}
	})
}

// handle calls fn under a span of its own. It returns the context for logs, too.
func handle(ctx context.Context, g *guard, fn EventFunction, e *event.Event) (context.Context, Outcome) {
	ctx, span := eventSpan(ctx, g.name, e)
	ctx = telemetry.With(ctx, slog.String("event_id", e.ID()))
	reply, err := fn.Handle(ctx, *e)
	telemetry.End(span, failure(err))
	return ctx, Outcome{reply, err}.checked(g)
}

// checked makes an error of a reply that would be lost at the broker, and seals one
// that would not.
func (o Outcome) checked(g *guard) Outcome {
	if o.Reply == nil || failure(o.Err) != nil {
		return o
	}
	if o.Reply.Validate() != nil {
		return Outcome{Err: errors.New("the reply is not a valid event")}
	}
	g.seals.Seal(o.Reply)
	return o
}

func mediaType(r *http.Request) string {
	t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return t
}

// refuseEvent answers what is not an event: no retry can mend it.
func refuseEvent(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge), errors.Is(err, errTooMany):
		WriteError(w, http.StatusRequestEntityTooLarge, CodeTooLarge, "the event is too large")
	case errors.Is(err, binding.ErrUnknownEncoding):
		WriteError(w, http.StatusUnsupportedMediaType, CodeMediaType, "not a CloudEvent")
	default:
		WriteError(w, http.StatusBadRequest, CodeInvalid, "not a valid CloudEvent")
	}
}

// writeOutcome answers an error, and reports whether there was none. Nothing
// is written for a success: 200 comes by itself, after a reply's headers.
func writeOutcome(ctx context.Context, w http.ResponseWriter, err error) bool {
	status, after := judge(err)
	if status < 300 {
		return true
	}
	if after > 0 {
		setRetryAfter(w, after)
	}
	if !isForeign(err) {
		slog.WarnContext(ctx, "event handling failed", "status", status, "error", err)
	}
	WriteError(w, status, outcomeCode(status), reason(err))
	return false
}

// judge maps a function's error to the status that tells the broker what to do,
// and to how long it should wait, 0 where nobody said.
func judge(err error) (status int, after time.Duration) {
	var result *cehttp.Result
	var later *sink.Unavailable
	switch {
	case err == nil || protocol.IsACK(err):
		return http.StatusOK, 0
	case protocol.ResultAs(err, &result) && result.StatusCode >= 100 && result.StatusCode < 600:
		return result.StatusCode, 0
	case errors.As(err, &later):
		return http.StatusServiceUnavailable, later.RetryAfter
	default:
		return http.StatusInternalServerError, 0
	}
}

func outcomeCode(status int) string {
	if status >= http.StatusInternalServerError {
		return CodeRetry
	}
	return CodeRejected
}

// reason is what the broker writes beside a dead letter.
func reason(err error) string {
	text := err.Error()
	if len(text) > maxReason {
		text = text[:maxReason] + "…"
	}
	return strings.ToValidUTF8(text, "")
}
