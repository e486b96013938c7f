package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
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
	// Cause names those with the same cause; see Causes.
	Cause string `json:"cause"`
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

// MarshalJSON writes its time as the API does; the event stays as it is.
func (l DeadLetter) MarshalJSON() ([]byte, error) {
	type plain DeadLetter // without this method
	return json.Marshal(struct {
		plain

		Time rfc3339.Milli `json:"time"`
	}{plain(l), rfc3339.Milli(l.Time)})
}

// DeadLetterFilter says which dead letters are listed. The zero value is all.
type DeadLetterFilter struct {
	Trigger string
	// Cause is the name of a Cause.
	Cause string
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
	set(q, "cause", f.Cause)
	set(q, "cursor", f.Cursor)
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	var p DeadLetterPage
	if err := c.do(ctx, call{method: http.MethodGet, path: "/api/dead-letters", query: q}, &p); err != nil {
		return p, err
	}
	return p, checkCursor(p.NextCursor)
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

// Cause is a group of dead letters with the same cause.
type Cause struct {
	Cause   string `json:"cause"`
	Trigger string `json:"trigger"`
	Code    int    `json:"code"`
	// Reason is that of the last one; others differ in ids and numbers.
	Reason string `json:"reason"`
	Count  int    `json:"count"`
	// First and Last are when the first and the last of them was given up.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Example is the id of the last one.
	Example string `json:"example"`
}

// MarshalJSON writes its times as the API does.
func (c Cause) MarshalJSON() ([]byte, error) {
	type plain Cause // without this method
	return json.Marshal(struct {
		plain

		First rfc3339.Milli `json:"first"`
		Last  rfc3339.Milli `json:"last"`
	}{plain(c), rfc3339.Milli(c.First), rfc3339.Milli(c.Last)})
}

// Causes are dead letters, grouped, the greatest group first.
type Causes struct {
	Causes []Cause `json:"causes"`
	// Triggers that have dead letters.
	Triggers []string `json:"triggers"`
	// Complete is false where there are more letters than were looked at.
	Complete bool `json:"complete"`
}

// Causes groups dead letters by their failure causes, those of one Trigger if it is not
// empty.
func (c *Client) Causes(ctx context.Context, trigger string) (Causes, error) {
	q := url.Values{}
	set(q, "trigger", trigger)
	var found Causes
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/dead-letters/causes", query: q}, &found)
	return found, err
}

// LetterAct is what can be done with many dead letters at once.
type LetterAct string

// The acts.
const (
	ActRedrive LetterAct = "redrive"
	ActDiscard LetterAct = "discard"
)

// BulkLetters asks for an act on many dead letters.
type BulkLetters struct {
	Act LetterAct
	// IDs name the letters, at most MaxBulk. Without them they are a page of those that
	// the filter finds, or, with All, of all.
	IDs []string
	DeadLetterFilter
	All bool
	// DryRun has nothing done.
	DryRun bool
}

// BulkLetter is one letter of BulkLetters.
type BulkLetter struct {
	ID      string  `json:"id"`
	Trigger string  `json:"trigger,omitempty"`
	JobID   string  `json:"job_id,omitempty"`
	Outcome Outcome `json:"outcome"`
	// JobStatus is how its job has ended, where that makes sending it again change nothing.
	JobStatus job.State `json:"job_status,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

// BulkLettersResult is what became of BulkLetters.
type BulkLettersResult struct {
	Act     LetterAct       `json:"act"`
	DryRun  bool            `json:"dry_run"`
	Letters []BulkLetter    `json:"dead_letters"`
	Counts  map[Outcome]int `json:"counts"`
	// NextCursor is the next call's Cursor, empty at the end.
	NextCursor string `json:"next_cursor,omitempty"`
	// RetryAfter is in how many seconds the same call is worth sending again; 0 where
	// nothing was postponed.
	RetryAfter int `json:"retry_after_seconds,omitempty"`
}

// ManyLetters redrives or discards dead letters.
func (c *Client) ManyLetters(ctx context.Context, b BulkLetters) (BulkLettersResult, error) {
	a := call{method: http.MethodPost, path: "/api/dead-letters/" + string(b.Act), query: url.Values{}}
	set(a.query, "trigger", b.Trigger)
	set(a.query, "cause", b.Cause)
	set(a.query, "cursor", b.Cursor)
	if b.Limit != 0 {
		a.query.Set("limit", strconv.Itoa(b.Limit))
	}
	for name, on := range map[string]bool{"all": b.All, "dry_run": b.DryRun} {
		if on {
			a.query.Set(name, "true")
		}
	}
	if len(b.IDs) > 0 {
		a.body = map[string][]string{"ids": b.IDs}
	}
	var r BulkLettersResult
	if err := c.do(ctx, a, &r); err != nil {
		return r, err
	}
	return r, checkCursor(r.NextCursor)
}
