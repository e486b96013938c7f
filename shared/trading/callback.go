package trading

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MaxCallback is the largest webhook body that is read, in bytes.
const MaxCallback = 1 << 20

// ErrCallback is wrapped by every error of [ParseCallback]: the body is at
// fault, and the same body will never be right.
var ErrCallback = errors.New("invalid callback")

// Callback is what the API says at the end of a sweep, in either dialect.
type Callback struct {
	// TradingJobID is the trading API's id, not ours.
	TradingJobID string
	// Status is Completed, Failed or Cancelled.
	Status Status
	// RunID names the results. It may be empty although Status is Completed:
	// then the API has to be asked.
	RunID string
	// ErrorMessage is the API's own, clipped and without control characters.
	ErrorMessage string
	// Combinations and ExecutionSeconds are 0 where the body has none.
	Combinations     int
	ExecutionSeconds float64
	// Synthetic marks results on made-up prices; only the simulator says so.
	Synthetic bool
	// At is the body's own time, zero where it has none.
	At time.Time
}

// callbackBody has the fields of both dialects.
type callbackBody struct {
	jobBody
	EventType string `json:"event_type"`
	Timestamp stamp  `json:"timestamp"`
	SentAt    stamp  `json:"webhook_sent_at"`
}

// ParseCallback reads a webhook body. It is strict about size, types, the id and
// the status, and passes over fields that it does not know. A body whose
// event_type and status contradict each other is refused, and so is one about a
// sweep that has not ended.
func ParseCallback(body []byte) (Callback, error) {
	if len(body) > MaxCallback {
		return Callback{}, fmt.Errorf("%w: larger than %d bytes", ErrCallback, MaxCallback)
	}
	var b callbackBody
	if err := json.Unmarshal(body, &b); err != nil {
		return Callback{}, fmt.Errorf("%w: %w", ErrCallback, err)
	}
	if !validJobID(b.JobID) {
		return Callback{}, fmt.Errorf("%w: invalid job_id", ErrCallback)
	}
	j := b.job()
	status, err := callbackStatus(b.EventType, j.Status)
	if err != nil {
		return Callback{}, err
	}
	c := Callback{
		TradingJobID: j.ID, Status: status, ErrorMessage: j.ErrorMessage,
		Combinations: j.Combinations, ExecutionSeconds: j.ExecutionSeconds, Synthetic: j.Synthetic,
	}
	if status == Completed {
		c.RunID = j.RunID
	}
	for _, s := range []stamp{b.Timestamp, b.SentAt, b.CompletedAt} {
		if c.At.IsZero() {
			c.At = s.Time
		}
	}
	return c, nil
}

// callbackStatus is the end that the body tells of, by either field or both.
func callbackStatus(eventType string, s Status) (Status, error) {
	var byEvent Status
	switch eventType {
	case "":
		byEvent = s
	case "sweep.completed":
		byEvent = Completed
	case "sweep.failed":
		byEvent = Failed
	case "sweep.cancelled":
		byEvent = Cancelled
	default:
		return "", fmt.Errorf("%w: unknown event_type", ErrCallback)
	}
	if s == "" {
		s = byEvent
	}
	if s != byEvent {
		return "", fmt.Errorf("%w: event_type and status contradict each other", ErrCallback)
	}
	if !s.Ended() {
		return "", fmt.Errorf("%w: status must be completed, failed or cancelled", ErrCallback)
	}
	return s, nil
}
