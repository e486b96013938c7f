package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/job"
)

// DeadLetter is an event that could not be delivered.
type DeadLetter struct {
	ID string `json:"id"`
	// Undone says in words what has not happened for it.
	Undone   string `json:"undone"`
	Trigger  string `json:"trigger"`
	Type     string `json:"type"`
	EventID  string `json:"event_id"`
	JobID    string `json:"job_id"`
	Attempts int    `json:"attempts"`
	// Code is the last HTTP status, 0 where nobody answered; Reason is the last answer.
	Code   int    `json:"code"`
	Reason string `json:"reason"`
	// Taken says that the dead-letter sink has it: its job has failed of it.
	Taken bool      `json:"taken"`
	Time  time.Time `json:"time"`
	// Event is the CloudEvent in JSON. Lists leave out large data, of DataBytes bytes.
	Event     json.RawMessage `json:"event"`
	DataBytes int             `json:"data_bytes,omitempty"`
}

// DeadLetterFilter says which dead letters are listed. The zero value is all.
type DeadLetterFilter struct {
	Trigger string
	// Limit is the size of a page, 1 to 500; 100 if 0.
	Limit int
	// Cursor is NextCursor of the page before.
	Cursor string
}

// DeadLetterPage is one page of dead letters, newest first.
type DeadLetterPage struct {
	DeadLetters []DeadLetter `json:"dead_letters"`
	// NextCursor is empty on the last page.
	NextCursor string `json:"next_cursor,omitempty"`
}

// DeadLetters lists dead letters.
func (c *Client) DeadLetters(ctx context.Context, f DeadLetterFilter) (DeadLetterPage, error) {
	q := url.Values{}
	set(q, "trigger", f.Trigger)
	set(q, "cursor", f.Cursor)
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	var p DeadLetterPage
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/dead-letters", query: q}, &p)
	return p, err
}

// DeadLetter reads one whole dead letter.
func (c *Client) DeadLetter(ctx context.Context, id string) (DeadLetter, error) {
	var l DeadLetter
	err := c.do(ctx, call{method: http.MethodGet, path: ofDeadLetter(id, "")}, &l)
	return l, err
}

// DeadLetterDone is what was done with a dead letter.
type DeadLetterDone struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	// JobStatus is how its job has ended, where that makes sending it again change nothing.
	JobStatus job.State `json:"job_status,omitempty"`
}

// Redrive sends a dead letter again.
func (c *Client) Redrive(ctx context.Context, id string) (DeadLetterDone, error) {
	var d DeadLetterDone
	err := c.do(ctx, call{method: http.MethodPost, path: ofDeadLetter(id, "/redrive")}, &d)
	return d, err
}

// Discard forgets a dead letter.
func (c *Client) Discard(ctx context.Context, id string) (DeadLetterDone, error) {
	var d DeadLetterDone
	err := c.do(ctx, call{method: http.MethodDelete, path: ofDeadLetter(id, "")}, &d)
	return d, err
}

func ofDeadLetter(id, what string) string { return "/api/dead-letters/" + url.PathEscape(id) + what }
