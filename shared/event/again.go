package event

import (
	"strconv"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
)

// again stands between the id of an event and the number of its repetition.
const again = "/again-"

// Again is e under an id of its own, "{id}/again-{n}", for the case that the
// event itself got lost behind the broker: a broker that still remembers the id
// would drop it as a repeat. It is the same step of the same job, so whoever
// takes it must tell steps apart by Original. n below 1 gives e.
//
// Who sends events again derives n from how long they are missed, not from a
// counter: several senders then send the same event, and the broker drops all
// but one.
func Again(e cloudevents.Event, n int) cloudevents.Event {
	e = e.Clone()
	id, _ := Original(e.ID())
	if n > 0 {
		id += again + strconv.Itoa(n)
	}
	e.SetID(id)
	return e
}

// Follow is e as it follows from cause: if that was sent again, so is e, or a
// broker that remembers an e before would drop it.
func Follow(cause, e cloudevents.Event) cloudevents.Event {
	_, n := Original(cause.ID())
	return Again(e, n)
}

// Original splits an event's id into that of the step and the number of the
// repetition; 0 for the event as it was first sent.
func Original(id string) (original string, n int) {
	at := strings.LastIndex(id, again)
	if at < 0 {
		return id, 0
	}
	n, err := strconv.Atoi(id[at+len(again):])
	if err != nil || n < 1 {
		return id, 0
	}
	return id[:at], n
}
