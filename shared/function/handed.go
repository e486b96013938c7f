package function

import (
	"log/slog"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/zixly/sweepline/shared/handover"
	"github.com/zixly/sweepline/shared/telemetry"
)

// handleHanded gives fn the events that a broker in this process has handed over, and
// hands the outcomes back. It does what eventHandler and handleBatch do, without the
// encoding.
func handleHanded(g *guard, fn EventFunction, to handover.Writer, w http.ResponseWriter, r *http.Request) {
	events, _, err := handover.Events(r, maxRequest)
	if err != nil {
		WriteError(w, http.StatusRequestEntityTooLarge, CodeTooLarge, "the event is too large")
		return
	}
	batch, takesBatches := fn.(BatchFunction)
	if len(events) > 1 && !takesBatches {
		WriteError(w, http.StatusUnsupportedMediaType, CodeMediaType, "this function takes one event at a time")
		return
	}
	outcomes := make([]Outcome, len(events))
	valid, at := make([]event.Event, 0, len(events)), make([]int, 0, len(events))
	for i, e := range events {
		if err := e.Validate(); err != nil {
			outcomes[i].Err = cehttp.NewResult(http.StatusBadRequest, "not a valid event: %w", err)
			continue
		}
		// They have been in the broker, like any others.
		if outcomes[i].Err = g.check(r.Context(), &e); outcomes[i].Err != nil {
			continue
		}
		valid, at = append(valid, e), append(at, i)
	}
	switch {
	case len(valid) == 0:
	case len(events) == 1:
		_, outcomes[0] = handle(r.Context(), g, fn, &valid[0])
	default:
		for i, o := range runBatch(r.Context(), g, batch, valid) {
			outcomes[at[i]] = o
		}
	}
	status := http.StatusMultiStatus
	answers := make([]handover.Outcome, len(outcomes))
	for i, o := range outcomes {
		a := handover.Outcome{}
		a.Status, a.RetryAfter = judge(o.Err)
		if a.Status >= http.StatusMultipleChoices {
			a.Reason = reason(o.Err)
			if !isForeign(o.Err) {
				ctx := telemetry.With(r.Context(), slog.String("event_id", events[i].ID()))
				slog.WarnContext(ctx, "event handling failed", "status", a.Status, "error", o.Err)
			}
		} else {
			a.Reply = o.Reply
		}
		answers[i] = a
	}
	if len(answers) == 1 {
		status = answers[0].Status
	}
	w.WriteHeader(status)
	to.Answer(answers)
}
