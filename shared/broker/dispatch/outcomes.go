package dispatch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
)

// mediaOutcomes is what a subscriber may answer a batch in, with status 207: an
// array with one outcome for each event, in their order. A batch is posted with
// this type in Accept.
const mediaOutcomes = "application/vnd.sweepline.outcomes+json"

// outcome is one member of the array.
type outcome struct {
	// Status is what the event would have been answered with by itself.
	Status int `json:"status"`
	// RetryAfter, in seconds, goes with 429 and 503.
	RetryAfter int    `json:"retry_after"`
	Error      string `json:"error"`
	// Event is the reply in the JSON event format.
	Event json.RawMessage `json:"event"`
}

// outcomes reads a 207. One that cannot be read, or that is not of all events,
// says nothing about any: then the delivery has failed.
func (s *sender) outcomes(resp *http.Response, n int) []result {
	body, err := s.read(resp, int64(n))
	if err != nil {
		return alike(n, failed(resp.StatusCode, err.Error()))
	}
	var list []outcome
	if err := json.Unmarshal(body, &list); err != nil {
		return alike(n, failed(resp.StatusCode, fmt.Sprintf("outcomes of a batch: %v", err)))
	}
	if len(list) != n {
		return alike(n, failed(resp.StatusCode, fmt.Sprintf("%d outcomes for %d events", len(list), n)))
	}
	results := make([]result, n)
	for i, o := range list {
		results[i] = o.result()
		results[i].own = true
	}
	return results
}

func (o outcome) result() result {
	switch {
	case o.Status < 200 || o.Status > 599:
		return failed(http.StatusMultiStatus, fmt.Sprintf("outcome has status %d", o.Status))
	case o.Status > 299:
		return refusal(o.Status, o.Error, time.Duration(max(o.RetryAfter, 0))*time.Second)
	}
	r := result{ok: true, answered: true, code: o.Status}
	if len(o.Event) == 0 || string(o.Event) == "null" || o.Status == http.StatusAccepted {
		return r
	}
	replies, err := cloudevent.ParseHTTP(http.Header{"Content-Type": {cloudevent.MediaStructured}}, o.Event, false)
	if err != nil {
		return failed(o.Status, fmt.Sprintf("reply is not a valid CloudEvent: %v", err))
	}
	r.replies = replies
	return r
}
