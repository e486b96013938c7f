package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Broker is the broker as operators see it.
type Broker struct {
	Streams  []Stream  `json:"streams"`
	Triggers []Trigger `json:"triggers"`
}

// Stream is the history of one partition of a broker.
type Stream struct {
	Namespace string `json:"namespace"`
	Broker    string `json:"broker"`
	Partition int    `json:"partition"`
	Entries   int64  `json:"entries"`
	Bytes     int64  `json:"bytes"`
	FirstID   string `json:"first_id,omitempty"`
	LastID    string `json:"last_id,omitempty"`
}

// TriggerName names a Trigger.
type TriggerName struct {
	Namespace string `json:"namespace"`
	Broker    string `json:"broker"`
	Name      string `json:"name"`
}

// String is NAMESPACE/BROKER/NAME.
func (t TriggerName) String() string { return t.Namespace + "/" + t.Broker + "/" + t.Name }

// Trigger is a Trigger and its queue.
type Trigger struct {
	TriggerName

	Subscriber     string `json:"subscriber"`
	Filter         string `json:"filter,omitempty"`
	DeadLetterSink string `json:"dead_letter_sink,omitempty"`
	Ordered        bool   `json:"ordered,omitempty"`
	// Removed says that it has left the configuration; its queue is kept for a while.
	Removed bool `json:"removed,omitempty"`
	Paused  bool `json:"paused"`
	// Lag counts events that nobody has claimed yet, Pending those that are being
	// delivered, Retries those between two attempts.
	Lag         int64 `json:"lag"`
	Pending     int64 `json:"pending"`
	Retries     int64 `json:"retries"`
	DeadLetters int64 `json:"dead_letters"`
	// OldestAge is the age of the oldest unfinished event, 0 if all are finished.
	OldestAge time.Duration `json:"oldest_age_ns"`
	Consumers int64         `json:"consumers"`
}

// Broker reads the streams and Triggers. It is a 403 Error for callers who are no
// operators, as is all that follows.
func (c *Client) Broker(ctx context.Context) (Broker, error) {
	var b Broker
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/broker"}, &b)
	return b, err
}

// Steered is the answer to an act on a Trigger.
type Steered struct {
	// Trigger is NAMESPACE/BROKER/NAME.
	Trigger string `json:"trigger"`
	Message string `json:"message"`
}

// Pause stops the deliveries of a Trigger; its events wait.
func (c *Client) Pause(ctx context.Context, t TriggerName) (Steered, error) {
	return c.steer(ctx, t, "pause", nil)
}

// Resume delivers the events of a paused Trigger.
func (c *Client) Resume(ctx context.Context, t TriggerName) (Steered, error) {
	return c.steer(ctx, t, "resume", nil)
}

// Replay delivers a Trigger's events again; since is a time in RFC 3339, or how long
// ago, such as "90m".
func (c *Client) Replay(ctx context.Context, t TriggerName, since string) (Steered, error) {
	return c.steer(ctx, t, "replay", url.Values{"since": {since}})
}

func (c *Client) steer(ctx context.Context, t TriggerName, act string, q url.Values) (Steered, error) {
	var s Steered
	path := "/api/broker/triggers/" + url.PathEscape(t.Namespace) + "/" + url.PathEscape(t.Broker) + "/" + url.PathEscape(t.Name) + "/" + act
	err := c.do(ctx, call{method: http.MethodPost, path: path, query: q}, &s)
	return s, err
}
