package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/broker/dispatch"
	"github.com/zixly/sweepline/shared/broker/stream"
)

// DeadLetter is an event that one Trigger could not deliver.
type DeadLetter struct {
	// ID is opaque, stable and safe in a URL.
	ID        string `json:"id"`
	Namespace string `json:"namespace"`
	Broker    string `json:"broker"`
	Trigger   string `json:"trigger"`
	// Subscriber is where the event could not be delivered to.
	Subscriber string `json:"subscriber"`
	// Code is the last HTTP status; 500 if there was no answer.
	Code int `json:"code"`
	// Reason is the beginning of the last answer's body, or the error.
	Reason   string `json:"reason"`
	Attempts int    `json:"attempts"`
	// Taken says that a dead letter sink took the event. Where it refused it,
	// SinkCode and SinkReason are its answer.
	Taken      bool   `json:"taken"`
	SinkCode   int    `json:"sink_code,omitempty"`
	SinkReason string `json:"sink_reason,omitempty"`
	// Stored is when the event entered the broker, First when it failed first,
	// Died when it was given up.
	Stored time.Time `json:"stored"`
	First  time.Time `json:"first_failed"`
	Died   time.Time `json:"died"`
	// Position pages on: DeadLetterQuery.Before.
	Position string `json:"-"`
	// Event is the event as it was published.
	Event event.Event `json:"event"`
}

// DeadLetterQuery selects dead letters. Its zero value selects all, up to 100.
type DeadLetterQuery struct {
	// Namespace, Broker and Trigger narrow the search where they are set.
	Namespace, Broker, Trigger string
	// Before pages on: what comes after the letter with this Position.
	Before string
	// Limit is 100 if 0.
	Limit int
}

// ValidPosition reports whether s has the form of a DeadLetter's Position.
func ValidPosition(s string) bool { return stream.ValidPosition(s) }

// DeadLetters lists dead letters, the latest first.
func (i *Inspector) DeadLetters(ctx context.Context, q DeadLetterQuery) ([]DeadLetter, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	brokers, err := i.store.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	var found []stream.DeadLetter
	for _, b := range brokers {
		if (q.Namespace != "" && q.Namespace != b.Namespace) || (q.Broker != "" && q.Broker != b.Name) {
			continue
		}
		letters, err := i.ofBroker(ctx, b, q)
		if err != nil {
			return nil, err
		}
		found = append(found, letters...)
	}
	sort.SliceStable(found, func(a, b int) bool { return found[a].Position() > found[b].Position() })
	found = found[:min(len(found), q.Limit)]
	out := make([]DeadLetter, len(found))
	for n, d := range found {
		out[n] = view(d)
	}
	return out, nil
}

func (i *Inspector) ofBroker(ctx context.Context, b stream.Broker, q DeadLetterQuery) ([]stream.DeadLetter, error) {
	names, err := i.store.Names(ctx, b)
	if err != nil {
		return nil, err
	}
	partitions, err := i.store.All(ctx, b)
	if err != nil {
		return nil, err
	}
	var out []stream.DeadLetter
	for _, name := range names {
		if q.Trigger != "" && q.Trigger != name {
			continue
		}
		for _, p := range partitions {
			letters, err := p.DeadLetters(ctx, stream.DeadLetterQuery{Trigger: name, Before: q.Before, Limit: q.Limit})
			if err != nil {
				return nil, fmt.Errorf("list dead letters of %s: %w", b, err)
			}
			out = append(out, letters...)
		}
	}
	return out, nil
}

// DeadLetter returns one dead letter, or ErrNotFound.
func (i *Inspector) DeadLetter(ctx context.Context, id string) (DeadLetter, error) {
	d, err := i.store.DeadLetter(ctx, id)
	if err != nil {
		return DeadLetter{}, err
	}
	return view(d), nil
}

func view(d stream.DeadLetter) DeadLetter {
	s := dispatch.DecodeState(d.Record)
	v := DeadLetter{
		ID: d.ID, Namespace: d.Broker.Namespace, Broker: d.Broker.Name, Trigger: d.Trigger,
		Subscriber: dispatch.WithoutCredentials(s.Dest), Code: s.Code, Reason: text(s.Data), Attempts: s.Attempts,
		Taken: s.Taken, Stored: d.Stored, First: time.UnixMilli(s.First).UTC(), Died: d.Died, Position: d.Position(),
	}
	if at := stream.IDTime(s.Origin); !at.IsZero() {
		v.Stored = at
	}
	if !s.Taken {
		v.SinkCode, v.SinkReason = s.SinkCode, text(s.SinkData)
	}
	if d.Event == nil { // an event all the same: whoever lists letters encodes it
		v.Event = event.New()
		v.Event.SetID(d.ID)
		v.Event.SetSource("urn:sweepline:broker")
		v.Event.SetType("dev.sweepline.unreadable")
	} else {
		v.Event = d.Event.EventWithData()
		if !v.Event.DataBase64 && cloudevent.IsJSON(v.Event.DataContentType()) && !json.Valid(v.Event.DataEncoded) {
			v.Event.DataBase64 = true // or a list of letters could not be encoded for this one
		}
	}
	return v
}
