package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// TriggerPath names one Trigger in an address.
const TriggerPath = "/triggers/{namespace}/{broker}/{name}/"

// BrokerView is the broker as GET /api/broker gives it.
type BrokerView struct {
	Streams  []broker.StreamInfo  `json:"streams"`
	Triggers []broker.TriggerInfo `json:"triggers"`
}

// ReadBroker reads all streams and Triggers.
func (s *Service) ReadBroker(ctx context.Context) (BrokerView, error) {
	v := BrokerView{}
	var err error
	if v.Streams, err = s.Broker.Streams(ctx); err != nil {
		return v, err
	}
	if v.Triggers, err = s.Broker.Triggers(ctx); err != nil {
		return v, err
	}
	// Empty lists, not null, where there is no broker yet.
	v.Streams, v.Triggers = append([]broker.StreamInfo{}, v.Streams...), append([]broker.TriggerInfo{}, v.Triggers...)
	return v, nil
}

// TriggerName is a Trigger as addresses name it.
type TriggerName struct{ Namespace, Broker, Name string }

// TriggerOf reads a name from an address.
func TriggerOf(r *http.Request) TriggerName {
	return TriggerName{r.PathValue("namespace"), r.PathValue("broker"), r.PathValue("name")}
}

// String gives the name as answers show it.
func (t TriggerName) String() string { return t.Namespace + "/" + t.Broker + "/" + t.Name }

// Steer pauses, resumes or replays a Trigger and says what was done. Its error
// may be a job.Invalid or broker.ErrNotFound.
func (s *Service) Steer(ctx context.Context, act string, t TriggerName, since string) (done string, err error) {
	switch act {
	case "pause":
		done, err = "Paused", s.Broker.Pause(ctx, t.Namespace, t.Broker, t.Name)
	case "resume":
		done, err = "Resumed", s.Broker.Resume(ctx, t.Namespace, t.Broker, t.Name)
	default:
		at, invalid := parseSince(since, s.Now())
		if invalid != nil {
			return "", invalid
		}
		done, err = "Replaying since "+at.UTC().Format(time.RFC3339), s.Broker.ReplayFrom(ctx, t.Namespace, t.Broker, t.Name, at)
	}
	if err != nil {
		return "", fmt.Errorf("%s trigger: %w", act, err)
	}
	slog.InfoContext(ctx, "trigger changed by operator", "trigger", t.String(), "act", act)
	return done, nil
}

// parseSince reads a time, or how long ago it was ("90m"). There is no default:
// a replay sends events again.
func parseSince(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	at, err := rfc3339.Parse(text)
	if err != nil || at.After(now) || at.Year() < 1970 {
		return time.Time{}, job.Invalid{{Field: "since", Message: "must be a time such as 2026-01-31T12:00:00Z, or how long ago, such as 90m; and not in the future"}}
	}
	return at, nil
}
