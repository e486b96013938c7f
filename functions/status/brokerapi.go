package status

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
)

// triggerPath names one Trigger in an address.
const triggerPath = "/triggers/{namespace}/{broker}/{name}/"

// brokerRoutes lists the addresses of the broker, for machines and for people.
func (f *Function) brokerRoutes(api, page func(pattern string, h http.HandlerFunc)) {
	api("GET /api/broker", f.getBroker)
	page("GET /broker", f.brokerPage)
	for _, act := range []string{"pause", "resume", "replay"} {
		api("POST /api/broker"+triggerPath+act, f.actOnTrigger(act))
		page("POST /broker"+triggerPath+act, f.actOnTriggerFromPage(act))
	}
}

// brokerView is the broker as GET /api/broker gives it.
type brokerView struct {
	Streams  []broker.StreamInfo  `json:"streams"`
	Triggers []broker.TriggerInfo `json:"triggers"`
}

func (f *Function) readBroker(ctx context.Context) (brokerView, error) {
	v := brokerView{}
	var err error
	if v.Streams, err = f.Broker.Streams(ctx); err != nil {
		return v, err
	}
	if v.Triggers, err = f.Broker.Triggers(ctx); err != nil {
		return v, err
	}
	// Empty lists, not null, where there is no broker yet.
	v.Streams, v.Triggers = append([]broker.StreamInfo{}, v.Streams...), append([]broker.TriggerInfo{}, v.Triggers...)
	return v, nil
}

func (f *Function) getBroker(w http.ResponseWriter, r *http.Request) {
	v, err := f.readBroker(r.Context())
	if err != nil {
		slog.WarnContext(r.Context(), "Broker not read", "error", err)
		function.WriteUnavailable(w, err)
		return
	}
	function.WriteJSON(w, http.StatusOK, v)
}

func (f *Function) actOnTrigger(act string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		done, err := f.steer(r.Context(), act, triggerOf(r), r.URL.Query().Get("since"))
		var invalid job.Invalid
		switch {
		case err == nil:
			function.WriteJSON(w, http.StatusAccepted, map[string]string{"trigger": triggerOf(r).String(), "message": done})
		case errors.As(err, &invalid):
			answerBadQuery(w, err)
		case errors.Is(err, broker.ErrNotFound):
			function.WriteError(w, http.StatusNotFound, function.CodeNotFound, "no such trigger")
		default:
			slog.WarnContext(r.Context(), "Trigger not steered", "act", act, "error", err)
			function.WriteUnavailable(w, err)
		}
	}
}

// triggerName is a Trigger as addresses name it.
type triggerName struct{ namespace, broker, name string }

func triggerOf(r *http.Request) triggerName {
	return triggerName{r.PathValue("namespace"), r.PathValue("broker"), r.PathValue("name")}
}

func (t triggerName) String() string { return t.namespace + "/" + t.broker + "/" + t.name }

// steer pauses, resumes or replays a Trigger and says what was done. Its error
// may be a job.Invalid or broker.ErrNotFound.
func (f *Function) steer(ctx context.Context, act string, t triggerName, since string) (done string, err error) {
	switch act {
	case "pause":
		done, err = "Paused", f.Broker.Pause(ctx, t.namespace, t.broker, t.name)
	case "resume":
		done, err = "Resumed", f.Broker.Resume(ctx, t.namespace, t.broker, t.name)
	default:
		at, invalid := parseSince(since, f.Now())
		if invalid != nil {
			return "", invalid
		}
		done, err = "Replaying since "+at.UTC().Format(time.RFC3339), f.Broker.ReplayFrom(ctx, t.namespace, t.broker, t.name, at)
	}
	if err != nil {
		return "", fmt.Errorf("%s trigger: %w", act, err)
	}
	slog.InfoContext(ctx, "Trigger steered", "trigger", t.String(), "act", act)
	return done, nil
}

// parseSince reads a time, or how long ago it was ("90m"). There is no default:
// a replay sends events again.
func parseSince(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.After(now) || at.Year() < 1970 {
		return time.Time{}, job.Invalid{{Field: "since", Message: "must be a time such as 2026-01-31T12:00:00Z, or how long ago, such as 90m; and not in the future"}}
	}
	return at, nil
}
