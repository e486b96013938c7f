package serve

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/telemetry"
)

// maxReason bounds the text that goes back to the broker with an error.
const maxReason = 1 << 10

// eventHandler gives each posted event to fn. It answers as func-go's own
// handler does (200 with or without a reply, the result's status, 500), with
// two differences: each call gets its own request's context, which in the
// SDK's receiver may be that of another request under way; and a Retry-After
// is passed on.
func eventHandler(name string, fn EventFunction) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			WriteError(w, http.StatusMethodNotAllowed, CodeMethod, "events are posted")
			return
		}
		if mediaType(r) == event.ApplicationCloudEventsBatchJSON {
			handleBatch(name, fn, w, r)
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
		ctx, span := eventSpan(r.Context(), name, e)
		ctx = telemetry.With(ctx, slog.String("event_id", e.ID()))
		reply, err := fn.Handle(ctx, *e)
		telemetry.End(span, failure(err))
		if !writeOutcome(ctx, w, err) || reply == nil {
			return
		}
		if err := reply.Validate(); err != nil { // an unreadable reply would be lost at the broker
			writeOutcome(ctx, w, errors.New("the reply is not a valid event"))
			return
		}
		_ = cehttp.WriteResponseWriter(binding.WithForceBinary(ctx), binding.ToMessage(reply), http.StatusOK, w)
	})
}

func mediaType(r *http.Request) string {
	t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return t
}

func handleBatch(name string, fn EventFunction, w http.ResponseWriter, r *http.Request) {
	batch, ok := fn.(BatchFunction)
	if !ok {
		WriteError(w, http.StatusUnsupportedMediaType, CodeMediaType, "this function takes one event at a time")
		return
	}
	var events []event.Event
	err := json.NewDecoder(r.Body).Decode(&events)
	for i := range events {
		err = errors.Join(err, events[i].Validate())
	}
	if err != nil {
		refuseEvent(w, err)
		return
	}
	spans := make([]trace.Span, len(events))
	for i := range events {
		_, spans[i] = eventSpan(r.Context(), name, &events[i])
	}
	replies, err := batch.HandleBatch(r.Context(), events)
	for _, span := range spans {
		telemetry.End(span, failure(err))
	}
	if !writeOutcome(r.Context(), w, err) || len(replies) == 0 {
		return
	}
	body, err := json.Marshal(replies)
	if err != nil {
		writeOutcome(r.Context(), w, errors.New("a reply is not a valid event"))
		return
	}
	w.Header().Set("Content-Type", event.ApplicationCloudEventsBatchJSON)
	_, _ = w.Write(body)
}

// refuseEvent answers what is not an event: no retry can mend it.
func refuseEvent(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
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
	if err == nil || protocol.IsACK(err) {
		return true
	}
	status := http.StatusInternalServerError
	var result *cehttp.Result
	var later *Unavailable
	switch {
	case protocol.ResultAs(err, &result) && result.StatusCode >= 100 && result.StatusCode < 600:
		status = result.StatusCode
		if status < 300 {
			return true
		}
	case errors.As(err, &later):
		status = http.StatusServiceUnavailable
		setRetryAfter(w, later.RetryAfter)
	}
	slog.WarnContext(ctx, "Event not taken", "status", status, "error", err)
	WriteError(w, status, outcomeCode(status), reason(err))
	return false
}

func outcomeCode(status int) string {
	if status >= http.StatusInternalServerError {
		return "retry"
	}
	return "rejected"
}

// reason is what the broker writes beside a dead letter.
func reason(err error) string {
	text := err.Error()
	if len(text) > maxReason {
		text = text[:maxReason] + "…"
	}
	return strings.ToValidUTF8(text, "")
}
