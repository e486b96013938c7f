package function

import (
	"context"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/event"
)

// EventFunction takes one event and may answer with another. Its error decides
// what the broker does next: none means taken (the reply is stored before the
// event is acknowledged); a plain error, or a cehttp result of 500 or above,
// means try again; a cehttp result such as 422 means dead letter.
type EventFunction interface {
	Handle(context.Context, event.Event) (*event.Event, error)
}

// BatchFunction is an EventFunction that also takes many events at once. It
// returns one Outcome for each event, in their order; each is judged as if its
// event had come alone, so a slow or failing member must not hold up the rest.
type BatchFunction interface {
	EventFunction
	HandleBatch(context.Context, []event.Event) []Outcome
}

// Outcome is what Handle would have returned for one member of a batch. The
// zero value is an event that was taken and has no reply.
type Outcome struct {
	Reply *event.Event
	Err   error
}

// HTTPFunction takes one request. It bounds and closes what it reads.
type HTTPFunction interface {
	Handle(http.ResponseWriter, *http.Request)
}

// Ready is implemented by functions that depend on others. The error names
// what is missing; Check makes one.
type Ready interface {
	Ready(context.Context) (bool, error)
}

// Alive is implemented by functions that can find themselves broken.
type Alive interface {
	Alive(context.Context) (bool, error)
}

// Starter is implemented by functions that work besides answering requests, until
// ctx ends or, without an error, beyond Start's return. The map is func's and not used.
type Starter interface {
	Start(ctx context.Context, _ map[string]string) error
}

// Stopper is implemented by functions that hold what must be closed. Stop is called
// once, when no request is under way any more.
type Stopper interface {
	Stop(context.Context) error
}

// Drainer is implemented by functions that hold requests open for long, such
// as event streams. Drain ends them; it is called once, when the server stops
// taking new requests.
type Drainer interface {
	Drain()
}
