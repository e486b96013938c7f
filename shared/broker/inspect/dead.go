package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
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
	// Look, if set, sees each letter as soon as it is read, with its event whole, and
	// may take off what is not needed of it: what it leaves is listed. A page of
	// letters can be very large otherwise.
	Look func(*DeadLetter)
}

// ValidPosition reports whether s has the form of a DeadLetter's Position.
func ValidPosition(s string) bool { return stream.ValidPosition(s) }

// pageBytes is about what is read for one page of dead letters, at most.
const pageBytes = 32 << 20

// DeadLetters lists dead letters, the latest first. next is where the page after begins
// (DeadLetterQuery.Before), empty after the last one: a page of large letters has fewer
// of them than its limit.
func (i *Inspector) DeadLetters(ctx context.Context, q DeadLetterQuery) (letters []DeadLetter, next string, err error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	lists, err := i.deadLists(ctx, q)
	if err != nil {
		return nil, "", err
	}
	letters = []DeadLetter{}
	more, from := false, "" // what is older than from is not known of all lists
	for _, l := range lists {
		last := ""
		follows, err := l.partition.DeadLetters(ctx, stream.DeadLetterQuery{
			Trigger: l.trigger, Before: q.Before, Limit: q.Limit, Bytes: pageBytes / int64(len(lists)),
		}, func(d stream.DeadLetter) {
			v := view(d)
			if last = v.Position; q.Look != nil {
				q.Look(&v)
			}
			letters = append(letters, v)
		})
		if err != nil {
			return nil, "", fmt.Errorf("list dead letters of %s: %w", l.partition.Broker, err)
		}
		if follows {
			more, from = true, max(from, last)
		}
		letters = newest(letters, q.Limit+1)
	}
	if known := slices.IndexFunc(letters, func(l DeadLetter) bool { return l.Position < from }); known >= 0 {
		letters = letters[:known]
	}
	if len(letters) > q.Limit {
		more, letters = true, letters[:q.Limit]
	}
	if more && len(letters) > 0 {
		next = letters[len(letters)-1].Position
	}
	return letters, next, nil
}

// newest sorts letters and gives the newest of them.
func newest(letters []DeadLetter, limit int) []DeadLetter {
	sort.SliceStable(letters, func(a, b int) bool { return letters[a].Position > letters[b].Position })
	n := min(len(letters), limit)
	clear(letters[n:]) // so that they need not be kept
	return letters[:n]
}

// deadList is where a Trigger's dead letters of one partition are.
type deadList struct {
	partition *stream.Partition
	trigger   string
}

func (i *Inspector) deadLists(ctx context.Context, q DeadLetterQuery) (lists []deadList, err error) {
	brokers, err := i.store.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range brokers {
		if (q.Namespace != "" && q.Namespace != b.Namespace) || (q.Broker != "" && q.Broker != b.Name) {
			continue
		}
		names, err := i.store.Names(ctx, b)
		if err != nil {
			return nil, err
		}
		partitions, err := i.store.All(ctx, b)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if q.Trigger != "" && q.Trigger != name {
				continue
			}
			for _, p := range partitions {
				lists = append(lists, deadList{p, name})
			}
		}
	}
	return lists, nil
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
