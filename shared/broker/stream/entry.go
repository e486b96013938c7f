package stream

import (
	"errors"
	"time"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
)

// Entry is one event in a Trigger's queue, claimed by this process until it is
// settled.
type Entry struct {
	Trigger string
	// ID is the entry's; Origin that of the event where it was stored first.
	ID, Origin string
	// Key is what the event is ordered under, empty for none.
	Key string
	// Message is nil where the entry cannot be read. Newer says that a process of a
	// later version can.
	Message *cloudevent.Message
	Newer   bool
	// State is what it has been through, as settled with RetryLater; nil at first.
	State []byte
	// Deleted: somebody has removed the entry from the queue.
	Deleted bool

	ref bool
}

// Outcome is how a delivery ended.
type Outcome byte

// The outcomes.
const (
	// Delivered acknowledges; Settlement.Replies are stored in the same step.
	Delivered Outcome = iota
	// RetryLater schedules another attempt after Settlement.Delay.
	RetryLater
	// Dead keeps the event among the Trigger's dead letters.
	Dead
	// Requeued lets another process deliver it at once. It counts as no attempt.
	Requeued
)

// Settlement ends a delivery.
type Settlement struct {
	Entry   *Entry
	Outcome Outcome
	// Replies are stored with it; with Delivered and Dead.
	Replies []*cloudevent.Message
	// Delay and State go with RetryLater; State, as the record, with Dead.
	Delay time.Duration
	State []byte
	// Done is called once Redis has it, with false where another process has taken
	// the delivery over. It must not block.
	Done func(ours bool)
}

// Want is how many new entries of a Trigger shall be claimed.
type Want struct {
	Trigger string
	Count   int
	// Owner is the Claimer's own business.
	Owner any
}

// Claimer is who delivers in this process.
type Claimer interface {
	// Wants says what to claim with the commit that is about to be made, which
	// stores events for the Triggers named in touched. What it returns is reserved
	// until Claimed is called for it.
	Wants(touched map[string]bool) []Want
	// Claimed hands over what was claimed; entries is nil where nothing was. More
	// says that there may be more in the queue. It must not block.
	Claimed(want Want, entries []*Entry, more bool)
}

// decodeEntry reads what the scripts return of an entry. A corrupt event has no
// Message.
func decodeEntry(v any) *Entry {
	f, _ := v.([]any)
	if len(f) != 7 {
		return nil
	}
	text := func(i int) string { s, _ := f[i].(string); return s }
	e := &Entry{Trigger: text(0), ID: text(1), Origin: text(2), Key: text(3), ref: text(4) == "1"}
	if state := text(6); state == "deleted" {
		e.Deleted = true
	} else if state != "" {
		e.State = []byte(state)
	}
	if payload := text(5); payload != "" {
		m, err := cloudevent.Decode(payload)
		e.Message, e.Newer = m, errors.Is(err, cloudevent.ErrNewer)
	}
	return e
}
