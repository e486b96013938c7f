package function

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/telemetry"
)

// OutcomesType is the media type of a batch's outcomes. A sender that accepts
// it gets 207 and one outcome for each event, in their order; any other gets
// one answer for the whole batch.
const OutcomesType = "application/vnd.sweepline.outcomes+json"

// wireOutcome is one member of the answer: the status that the event would have
// been answered with alone, and what belongs to it.
type wireOutcome struct {
	Status int `json:"status"`
	// Event is the reply, in the structured JSON format.
	Event json.RawMessage `json:"event,omitempty"`
	// RetryAfter is in whole seconds; absent where the function did not say.
	RetryAfter int    `json:"retry_after,omitempty"`
	Error      string `json:"error,omitempty"`
}

func handleBatch(g *guard, fn EventFunction, w http.ResponseWriter, r *http.Request) {
	batch, ok := fn.(BatchFunction)
	if !ok {
		WriteError(w, http.StatusUnsupportedMediaType, CodeMediaType, "this function takes one event at a time")
		return
	}
	var members []json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&members); err != nil {
		refuseEvent(w, err)
		return
	}
	apart := acceptsOutcomes(r)
	events, outcomes, at := g.readMembers(r.Context(), members)
	if len(events) < len(members) && !apart {
		for _, o := range outcomes {
			if isForeign(o.Err) {
				writeOutcome(r.Context(), w, o.Err)
				return
			}
		}
		refuseEvent(w, errors.New("a member of the batch is not a valid event"))
		return
	}
	for i, o := range runBatch(r.Context(), g, batch, events) {
		outcomes[at[i]] = o
	}
	if apart {
		writeApart(r.Context(), w, events, outcomes, at)
		return
	}
	writeTogether(r.Context(), w, outcomes)
}

// acceptsOutcomes reports whether the sender reads an outcome for each event.
func acceptsOutcomes(r *http.Request) bool {
	for _, line := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			if t, _, err := mime.ParseMediaType(part); err == nil && t == OutcomesType {
				return true
			}
		}
	}
	return false
}

// readMembers parses each member by itself. at says which member each event is;
// members that are not events, or not ours, have their outcome already.
func (g *guard) readMembers(ctx context.Context, members []json.RawMessage) (events []event.Event, outcomes []Outcome, at []int) {
	outcomes = make([]Outcome, len(members))
	for i, raw := range members {
		var e event.Event
		err := json.Unmarshal(raw, &e)
		if err == nil {
			err = e.Validate()
		}
		if err != nil {
			outcomes[i].Err = cehttp.NewResult(http.StatusBadRequest, "not a valid event: %w", err)
			continue
		}
		if outcomes[i].Err = g.check(ctx, &e); outcomes[i].Err != nil {
			continue
		}
		events, at = append(events, e), append(at, i)
	}
	return events, outcomes, at
}

// runBatch calls fn with the events, each under a span of its own.
func runBatch(ctx context.Context, g *guard, fn BatchFunction, events []event.Event) []Outcome {
	if len(events) == 0 {
		return nil
	}
	spans := make([]trace.Span, len(events))
	for i := range events {
		_, spans[i] = eventSpan(ctx, g.name, &events[i])
	}
	outcomes := fn.HandleBatch(ctx, events)
	if len(outcomes) != len(events) { // nobody can tell which event each one belongs to
		outcomes = make([]Outcome, len(events))
		for i := range outcomes {
			outcomes[i].Err = errors.New("the function did not return an outcome for each event")
		}
	}
	for i, o := range outcomes {
		outcomes[i] = o.checked(g)
		telemetry.End(spans[i], failure(outcomes[i].Err))
	}
	return outcomes
}

// writeApart answers 207 with one outcome a member.
func writeApart(ctx context.Context, w http.ResponseWriter, events []event.Event, outcomes []Outcome, at []int) {
	ids := make(map[int]string, len(at))
	for i, member := range at {
		ids[member] = events[i].ID()
	}
	answers := make([]wireOutcome, len(outcomes))
	for i, o := range outcomes {
		answers[i] = wire(o)
		if answers[i].Status >= 300 && !isForeign(o.Err) {
			slog.WarnContext(ctx, "event handling failed", "event_id", ids[i], "status", answers[i].Status, "error", o.Err)
		}
	}
	body, err := json.Marshal(answers)
	if err != nil {
		writeOutcome(ctx, w, errors.New("the outcomes cannot be encoded"))
		return
	}
	w.Header().Set("Content-Type", OutcomesType)
	w.WriteHeader(http.StatusMultiStatus)
	_, _ = w.Write(body) // the broker is gone if this fails
}

func wire(o Outcome) wireOutcome {
	status, after := judge(o.Err)
	if status >= 300 {
		out := wireOutcome{Status: status, Error: reason(o.Err)}
		if after > 0 {
			out.RetryAfter = wholeSeconds(after)
		}
		return out
	}
	out := wireOutcome{Status: status}
	if o.Reply != nil {
		raw, err := json.Marshal(*o.Reply)
		if err != nil {
			return wireOutcome{Status: http.StatusInternalServerError, Error: "the reply cannot be encoded"}
		}
		out.Event = raw
	}
	return out
}

// writeTogether answers for the whole batch: 200 and all replies, or the error
// that lets the broker do most. An error worth repeating comes before a
// rejection: once it is gone the rejection shows, and the broker gives each
// event alone.
func writeTogether(ctx context.Context, w http.ResponseWriter, outcomes []Outcome) {
	var worst error
	var replies []event.Event
	for _, o := range outcomes {
		if status, _ := judge(o.Err); status >= 300 {
			if old, _ := judge(worst); worst == nil || status >= 500 && old < 500 {
				worst = o.Err
			}
			continue
		}
		if o.Reply != nil {
			replies = append(replies, *o.Reply)
		}
	}
	if !writeOutcome(ctx, w, worst) || len(replies) == 0 {
		return
	}
	body, err := json.Marshal(replies)
	if err != nil {
		writeOutcome(ctx, w, errors.New("a reply is not a valid event"))
		return
	}
	w.Header().Set("Content-Type", event.ApplicationCloudEventsBatchJSON)
	_, _ = w.Write(body)
}

// wholeSeconds rounds up: 0 would mean "at once".
func wholeSeconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }
