// Package handover lets a sender and a handler of one process pass CloudEvents on
// without encoding them. The request stays an HTTP request, with its address, headers,
// deadline and status; its body holds the events as they are, and is encoded only for
// a handler that reads it. The answer holds an outcome for each event.
//
//	sender   NewBody → Transport.RoundTrip → Outcomes
//	handler  Events → WriterOf → Writer.Answer
package handover

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Transport is a RoundTripper that serves some addresses in this process.
type Transport interface {
	http.RoundTripper
	// Local reports whether requests for u stay in this process.
	Local(u *url.URL) bool
}

// Local reports whether rt serves u in this process, so that NewBody is worth it.
func Local(rt http.RoundTripper, u *url.URL) bool {
	t, ok := rt.(Transport)
	return ok && t.Local(u)
}

// Outcome is the answer to one event.
type Outcome struct {
	// Status is the HTTP status that the event would have been answered with alone.
	Status int
	// RetryAfter goes with 429 and 503; 0 where nobody said.
	RetryAfter time.Duration
	// Reason is the text of a refusal.
	Reason string
	// Reply is the event that a 2xx answers with, nil for none.
	Reply *event.Event
}

// body is what NewBody makes.
type body struct {
	events func() []event.Event
	encode func() ([]byte, error)
	reader *bytes.Reader
}

// NewBody makes the body of a request of what events returns. encode
// gives the same as the request's Content-Type says. Both may be called by the
// handler's goroutine at any time until it returns.
func NewBody(events func() []event.Event, encode func() ([]byte, error)) io.ReadCloser {
	return &body{events: events, encode: encode}
}

func (b *body) Read(p []byte) (int, error) {
	if b.reader == nil {
		encoded, err := b.encode()
		if err != nil {
			return 0, err
		}
		b.reader = bytes.NewReader(encoded)
	}
	return b.reader.Read(p)
}

func (b *body) Close() error { return nil }

// Handed reports whether a request's events can be had without reading its body.
func Handed(r *http.Request) bool {
	_, ok := r.Body.(*body)
	return ok
}

// ErrTooLarge is returned by Events.
var ErrTooLarge = errors.New("the events are too large")

// Events returns what the sender handed over. The events are the caller's own. Those
// with more than limit bytes of data together are an ErrTooLarge. ok is false where
// the request came with bytes, which are still to be read.
func Events(r *http.Request, limit int64) (events []event.Event, ok bool, err error) {
	b, ok := r.Body.(*body)
	if !ok {
		return nil, false, nil
	}
	events = b.events()
	size := int64(0)
	for i := range events {
		size += int64(len(events[i].DataEncoded))
	}
	if size > limit {
		return nil, true, ErrTooLarge
	}
	return events, true, nil
}

// Writer is a ResponseWriter whose reader takes outcomes as they are.
type Writer interface {
	http.ResponseWriter
	// Answer takes one outcome for each event, in their order, in place of a body.
	// The status has been written.
	Answer(outcomes []Outcome)
}

// WriterOf finds the Writer in w or what it wraps, nil if there is none.
func WriterOf(w http.ResponseWriter) Writer {
	for {
		switch t := w.(type) {
		case Writer:
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}

// answered is the body of a response that holds outcomes.
type answered struct {
	io.ReadCloser

	outcomes []Outcome
}

// NewAnswer makes the body of a response of what a Writer was given.
func NewAnswer(outcomes []Outcome) io.ReadCloser { return answered{http.NoBody, outcomes} }

// Outcomes returns the outcomes of a response, false if it has a body to be read.
func Outcomes(resp *http.Response) ([]Outcome, bool) {
	a, ok := resp.Body.(answered)
	return a.outcomes, ok
}
