// Package inspect looks at brokers and acts on them through Redis alone: it needs no
// Server in its process, and works while none runs. The CLI and the dashboard stand
// on it.
//
//	inspect.go  Brokers, Triggers, retries, history
//	rates.go    what became of deliveries, by hour and by day
//	dead.go     dead letters: list, redrive, discard
//	operate.go  pause, resume, replay, purge; what Redis holds of Brokers that are gone
package inspect

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/broker/dispatch"
	"github.com/zixly/sweepline/shared/broker/stream"
)

// Inspector looks at the brokers of one Redis. It is safe for concurrent use.
type Inspector struct {
	store *stream.Store
}

// New makes an Inspector that leaves the client to its owner. prefix is
// Config.KeyPrefix of the brokers.
func New(client redis.UniversalClient, prefix string) (*Inspector, error) {
	if client == nil {
		return nil, errors.New("inspect broker: redis client is nil")
	}
	if prefix == "" {
		return nil, errors.New("inspect broker: key prefix is empty")
	}
	return Of(stream.Use(stream.Config{Prefix: prefix, RedisTimeout: 2 * time.Second}, client)), nil
}

// Of makes an Inspector on a Store.
func Of(store *stream.Store) *Inspector { return &Inspector{store: store} }

// StreamInfo is the history of one partition of a broker.
type StreamInfo struct {
	Namespace string `json:"namespace"`
	Broker    string `json:"broker"`
	Partition int    `json:"partition"`
	Entries   int64  `json:"entries"`
	Bytes     int64  `json:"bytes"`
	// FirstID and LastID are entry ids, empty for an empty history.
	FirstID string `json:"first_id,omitempty"`
	LastID  string `json:"last_id,omitempty"`
}

// TriggerInfo is a Trigger as it was applied last, and how it does. The numbers
// add up all partitions.
type TriggerInfo struct {
	Namespace      string `json:"namespace"`
	Broker         string `json:"broker"`
	Name           string `json:"name"`
	Subscriber     string `json:"subscriber"`
	Filter         string `json:"filter,omitempty"`
	DeadLetterSink string `json:"dead_letter_sink,omitempty"`
	Ordered        bool   `json:"ordered,omitempty"`
	// Removed: it has left the configuration; its queue is kept for a grace period.
	Removed bool `json:"removed,omitempty"`

	Paused bool `json:"paused"`
	// Lag counts events that nobody has claimed yet.
	Lag int64 `json:"lag"`
	// Pending counts events that are being delivered.
	Pending int64 `json:"pending"`
	// Retries counts events between two attempts, or on their way to the sink.
	Retries int64 `json:"retries"`
	// DeadLetters counts those kept.
	DeadLetters int64 `json:"dead_letters"`
	// OldestAge is the age of the oldest event that is not finished, 0 if all are.
	OldestAge time.Duration `json:"oldest_age_ns"`
	Consumers int64         `json:"consumers"`
}

// Streams lists the histories of all brokers.
func (i *Inspector) Streams(ctx context.Context) ([]StreamInfo, error) {
	brokers, err := i.store.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	var all []StreamInfo
	for _, b := range brokers {
		histories, err := i.store.Histories(ctx, b)
		if err != nil {
			return nil, err
		}
		for _, h := range histories {
			all = append(all, StreamInfo{
				Namespace: b.Namespace, Broker: b.Name, Partition: h.Partition,
				Entries: h.Entries, Bytes: h.Bytes, FirstID: h.FirstID, LastID: h.LastID,
			})
		}
	}
	return all, nil
}

// Triggers lists the Triggers of all brokers with their numbers.
func (i *Inspector) Triggers(ctx context.Context) ([]TriggerInfo, error) {
	brokers, err := i.store.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	var all []TriggerInfo
	for _, b := range brokers {
		triggers, err := i.TriggersOf(ctx, b)
		if err != nil {
			return nil, err
		}
		all = append(all, triggers...)
	}
	return all, nil
}

// TriggersOf lists the Triggers of one broker.
func (i *Inspector) TriggersOf(ctx context.Context, b stream.Broker) ([]TriggerInfo, error) {
	queues, err := i.store.Queues(ctx, b)
	if err != nil {
		return nil, err
	}
	paused, err := i.store.Paused(ctx, b)
	if err != nil {
		return nil, err
	}
	out := make([]TriggerInfo, len(queues))
	for n, q := range queues {
		out[n] = TriggerInfo{
			Namespace: b.Namespace, Broker: b.Name, Name: q.Trigger,
			// Earlier releases kept addresses as they were written.
			Subscriber: dispatch.WithoutCredentials(q.Record.Subscriber), Filter: q.Record.Filter,
			DeadLetterSink: dispatch.WithoutCredentials(q.Record.DeadLetterSink), Ordered: q.Record.Ordered,
			Removed: q.Removed, Paused: paused[q.Trigger],
			Lag: q.Lag, Pending: q.Pending, Retries: q.Retries, DeadLetters: q.DeadLetters, Consumers: q.Consumers, OldestAge: q.Age,
		}
	}
	return out, nil
}

// Retry is an event between two attempts.
type Retry struct {
	Namespace string `json:"namespace"`
	Broker    string `json:"broker"`
	Trigger   string `json:"trigger"`
	EntryID   string `json:"entry_id"`
	EventID   string `json:"event_id"`
	EventType string `json:"event_type"`
	// Attempts counts those that the delivery spec counts, Absent those that met
	// nobody and do not count.
	Attempts int       `json:"attempts"`
	Absent   int       `json:"absent,omitempty"`
	Due      time.Time `json:"due"`
	Code     int       `json:"code"`
	Reason   string    `json:"reason"`
	// Sink is set for a dead event that its sink has not taken yet.
	Sink bool `json:"sink"`
}

// Retries lists up to limit events of a Trigger that wait for another attempt, the
// next due first.
func (i *Inspector) Retries(ctx context.Context, namespace, broker, trigger string, limit int) ([]Retry, error) {
	b := stream.Broker{Namespace: namespace, Name: broker}
	partitions, err := i.store.All(ctx, b)
	if err != nil {
		return nil, err
	}
	var all []Retry
	for _, p := range partitions {
		retries, err := p.Retries(ctx, trigger, limit)
		if err != nil {
			return nil, fmt.Errorf("list retries: %w", err)
		}
		for _, r := range retries {
			s := dispatch.DecodeState(r.State)
			v := Retry{
				Namespace: namespace, Broker: broker, Trigger: trigger, EntryID: r.EntryID, Due: r.Due,
				Attempts: s.Attempts, Absent: s.Absent, Code: s.Code, Reason: text(s.Data), Sink: s.Dead,
			}
			if s.Dead {
				v.Attempts, v.Code, v.Reason = s.Sink, s.SinkCode, text(s.SinkData)
			}
			if r.Entry != nil && r.Entry.Message != nil {
				v.EventID, v.EventType = r.Entry.Message.Get("id"), r.Entry.Message.Get("type")
			}
			all = append(all, v)
		}
	}
	sort.SliceStable(all, func(a, b int) bool { return all[a].Due.Before(all[b].Due) })
	return all[:min(len(all), max(limit, 1))], nil
}

func text(b []byte) string { return strings.ToValidUTF8(string(b), "�") }
