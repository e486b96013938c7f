package dispatch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/handover"
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
	reply := func() ([]*cloudevent.Message, error) {
		if len(o.Event) == 0 || string(o.Event) == "null" {
			return nil, nil
		}
		return cloudevent.ParseHTTP(http.Header{"Content-Type": {cloudevent.MediaStructured}}, o.Event, false)
	}
	return judge(o.Status, o.Error, time.Duration(max(o.RetryAfter, 0))*time.Second, reply)
}

// handedOutcomes are those of a subscriber in this process.
func handedOutcomes(list []handover.Outcome, n int) []result {
	if len(list) != n {
		return alike(n, failed(http.StatusMultiStatus, fmt.Sprintf("%d outcomes for %d events", len(list), n)))
	}
	results := make([]result, n)
	for i, o := range list {
		results[i] = judge(o.Status, o.Reason, o.RetryAfter, func() ([]*cloudevent.Message, error) {
			if o.Reply == nil {
				return nil, nil
			}
			return cloudevent.FromEvents(nil, []event.Event{*o.Reply})
		})
		results[i].own = n > 1
	}
	return results
}

// judge is the result of one outcome.
func judge(status int, reason string, retryAfter time.Duration, reply func() ([]*cloudevent.Message, error)) result {
	switch {
	case status < 200 || status > 599:
		return failed(http.StatusMultiStatus, fmt.Sprintf("outcome has status %d", status))
	case status > 299:
		return refusal(status, reason, retryAfter)
	}
	r := result{ok: true, answered: true, code: status}
	if status == http.StatusAccepted { // its body is not routed
		return r
	}
	replies, err := reply()
	if err != nil {
		return failed(status, fmt.Sprintf("reply is not a valid CloudEvent: %v", err))
	}
	r.replies = replies
	return r
}
