package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/tmaxmax/go-sse"

	"github.com/zixly/sweepline/shared/job"
)

// A stream that breaks comes back by itself: after maxPause at most, and for
// maxAbsence of nobody answering.
const (
	maxPause   = 5 * time.Second
	maxAbsence = 2 * time.Minute
)

// maxSettle bounds how long Wait waits for the results of a job that has ended.
const maxSettle = time.Minute

// Connection is told of a stream's connection. Its functions may be nil.
type Connection struct {
	// Lost is called when the stream has broken, or could not be opened, and is tried
	// again.
	Lost func()
	// Open is called when the server has answered.
	Open func()
}

// Update is where a job is.
type Update struct {
	JobID  string    `json:"job_id"`
	Status job.State `json:"status"`
	// DisplayStatus is as in Job; empty where an older server does not tell it.
	DisplayStatus job.State `json:"display_status"`
	Progress      int       `json:"progress"`
	// Place is as in Job.
	Place int `json:"place,omitempty"`
}

// Shown is the state that people are told.
func (u Update) Shown() job.State { return cmp.Or(u.DisplayStatus, u.Status) }

// FollowJob calls more with where the job is, at first and each time when it has
// changed, until more says no. A job that has ended changes no more.
func (c *Client) FollowJob(ctx context.Context, id string, on Connection, more func(Update) bool) error {
	u := Update{JobID: id} // a message says what has changed; the rest stands
	return c.follow(ctx, ofJob(id, "/stream"), on, func(data string) bool {
		return json.Unmarshal([]byte(data), &u) != nil || !u.Status.Valid() || more(u)
	})
}

// Wait follows a job to its end and returns it with its results.
func (c *Client) Wait(ctx context.Context, id string) (Job, error) {
	if err := c.FollowJob(ctx, id, Connection{}, func(u Update) bool { return !u.Status.Terminal() }); err != nil {
		return Job{}, err
	}
	// The stream may be a moment ahead of the stored job.
	return backoff.Retry(ctx, func() (Job, error) {
		j, err := c.Job(ctx, id)
		if err == nil && !j.Status.Terminal() {
			err = fmt.Errorf("job %s has ended, but its results are not stored yet: read it again in a moment", id)
		}
		return j, err
	}, backoff.WithMaxElapsedTime(maxSettle))
}

// Overview is what a tenant's jobs are at.
type Overview struct {
	Counts map[job.State]int `json:"counts"`
	// Open are the newest jobs that have not ended.
	Open []Update `json:"open"`
	// Latest is the newest job of all; empty where there is none.
	Latest string `json:"latest,omitempty"`
}

// FollowJobs calls more with an overview of the tenant's jobs, at first and each time
// when it has changed, until more says no.
func (c *Client) FollowJobs(ctx context.Context, on Connection, more func(Overview) bool) error {
	return c.follow(ctx, "/api/stream", on, func(data string) bool {
		var o Overview
		return json.Unmarshal([]byte(data), &o) != nil || more(o)
	})
}

// follow reads Server-Sent Events until more says no.
func (c *Client) follow(ctx context.Context, path string, on Connection, more func(data string) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := c.request(ctx, call{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	ended := false
	tell := func(f func()) {
		if f != nil && !ended {
			f()
		}
	}
	sc := sse.Client{
		HTTPClient: c.http, Backoff: sse.Backoff{MaxInterval: maxPause, MaxElapsedTime: maxAbsence},
		OnRetry: func(error, time.Duration) { tell(on.Lost) },
		ResponseValidator: func(resp *http.Response) error {
			tell(on.Open)
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			return errorOf(resp)
		},
	}
	conn := sc.NewConnection(req)
	conn.Buffer(nil, maxAnswer)
	conn.SubscribeToAll(func(e sse.Event) {
		if !ended && !more(e.Data) {
			ended = true
			cancel()
		}
	})
	err = conn.Connect()
	switch {
	case ended:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if refused, ok := errors.AsType[*Error](err); ok {
		return refused
	}
	return &Unreachable{Base: c.base, Err: err}
}
