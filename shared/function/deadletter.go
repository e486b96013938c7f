package function

import (
	"context"
	"net/http"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
)

// DeadLetterPath is where a function takes dead letters; Triggers have it as the URI of
// their dead letter sink. Only what comes there is one: the attributes by which a broker
// marks dead letters are covered by no seal, and but for ours brokers let publishers set
// them.
const DeadLetterPath = "/dead-letter"

// errorPrefix begins the names of those attributes. Rule: Knative, Event Delivery.
const errorPrefix = "knativeerror"

type deadLetterKey struct{}

// AsDeadLetter is the context of events that came to DeadLetterPath.
func AsDeadLetter(ctx context.Context) context.Context {
	return context.WithValue(ctx, deadLetterKey{}, true)
}

// IsDeadLetter reports whether the events that Handle or HandleBatch were called with
// are dead letters. If not, they have no attributes of one.
func IsDeadLetter(ctx context.Context) bool {
	is, _ := ctx.Value(deadLetterKey{}).(bool)
	return is
}

// byPath notes whether a request brings dead letters.
func byPath(r *http.Request) *http.Request {
	if strings.TrimSuffix(r.URL.Path, "/") != DeadLetterPath {
		return r
	}
	return r.WithContext(AsDeadLetter(r.Context()))
}

// strip takes off e what makes a dead letter of it, and reports whether anything did.
// The event may be in others' hands, so that they keep theirs.
func strip(e *event.Event) bool {
	found := false
	for name := range e.Extensions() {
		if !strings.HasPrefix(name, errorPrefix) {
			continue
		}
		if !found {
			*e, found = e.Clone(), true
		}
		e.SetExtension(name, nil)
	}
	return found
}
