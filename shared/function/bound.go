package function

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/transport"
)

// What one request may hold, as at the broker: each costs more than its bytes.
const (
	maxBatch      = 1000
	maxAttributes = 160
)

var errTooMany = errors.New("too many events or attributes")

// countMembers refuses a structured event of too many attributes, and a batch of too
// many events, before anything is made of them. The body is there afterwards.
func countMembers(r *http.Request) error {
	var most int
	switch mediaType(r) {
	case event.ApplicationCloudEventsJSON:
		most = maxAttributes
	case event.ApplicationCloudEventsBatchJSON:
		most = maxBatch
	default:
		return nil
	}
	body, err := readAll(r)
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if transport.Members(body, most) > most {
		return errTooMany
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// readAll reads a body, in one piece where its length is known.
func readAll(r *http.Request) ([]byte, error) {
	if r.ContentLength <= 0 || r.ContentLength > maxRequest {
		return io.ReadAll(r.Body)
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}
