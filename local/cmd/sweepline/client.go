package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
)

// clientConfig says where a running sweepline is.
type clientConfig struct {
	URL string `envconfig:"SWEEPLINE_URL" default:"http://localhost:8080"`
	Key string `envconfig:"SWEEPLINE_KEY"`
}

// client speaks the public HTTP API.
type client struct {
	base, key string
	http      *http.Client
}

// callLimit bounds one call; streams have none.
const (
	callLimit  = 30 * time.Second
	answerSize = 16 << 20
)

func newClient() (*client, error) {
	var c clientConfig
	if err := function.Load(&c); err != nil {
		return nil, usageError{err}
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return nil, usagef("SWEEPLINE_URL must look like http://localhost:8080")
	}
	return &client{base: strings.TrimSuffix(c.URL, "/"), key: c.Key, http: &http.Client{}}, nil
}

// apiError is an answer of the API that is no success.
type apiError struct {
	Status  int           `json:"-"`
	Message string        `json:"error"`
	Code    string        `json:"code"`
	Details []job.Problem `json:"details"`

	// hint says what to do.
	hint string
	// after is when it is worth asking again, by the server; 0 where it does not say.
	after time.Duration
}

// answerOf reads an answer that is no success. One that is not ours has no
// JSON: its status says enough.
func answerOf(r *http.Response) *apiError {
	e := &apiError{}
	_ = json.NewDecoder(io.LimitReader(r.Body, answerSize)).Decode(e)
	e.Status = r.StatusCode
	path := r.Request.URL.Path
	switch {
	case e.Status == http.StatusUnauthorized:
		e.hint = "Set SWEEPLINE_KEY to your tenant's key"
	case e.Code == "operators_only":
		e.hint = "Use the key of a tenant that OPERATOR_TENANTS names"
	case e.Status == http.StatusNotFound && strings.Contains(path, "/dead-letters/"):
		e.hint = "'sweepline dead-letters' lists those that are there"
	case e.Status == http.StatusNotFound && strings.Contains(path, "/jobs/"):
		e.hint = "'sweepline jobs' lists yours"
	case e.Status == http.StatusConflict:
		e.hint = "'sweepline job ID' shows how it stands"
	case e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable:
		e.hint = "Try again in a moment"
		if after := r.Header.Get("Retry-After"); after != "" {
			e.hint = "Try again in " + after + " s"
			if seconds, err := strconv.Atoi(after); err == nil && seconds > 0 {
				e.after = min(time.Duration(seconds)*time.Second, time.Hour)
			}
		}
	}
	return e
}

// unreachable is the error where nobody answers.
type unreachable struct {
	base string
	err  error
}

func (e *unreachable) Error() string {
	return fmt.Sprintf("no sweepline answers at %s (%s)\nStart one with 'sweepline up', or set SWEEPLINE_URL", e.base, e.err)
}

func (e *unreachable) Unwrap() error { return e.err }

func (e *apiError) Error() string {
	lines := []string{e.Message}
	if e.Message == "" {
		lines[0] = fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	}
	for _, d := range e.Details {
		lines = append(lines, "  "+d.Field+": "+d.Message)
	}
	if e.hint != "" {
		lines = append(lines, e.hint)
	}
	return strings.Join(lines, "\n")
}

// accepted is the answer to a webhook.
type accepted struct {
	JobID      string    `json:"job_id"`
	Status     job.State `json:"status"`
	Message    string    `json:"message"`
	WebhookURL string    `json:"webhook_url"`
	CreatedAt  time.Time `json:"created_at"`
}

// submit sends a sweep. It carries an idempotency key, so that it may be sent
// again while the service is unavailable.
func (c *client) submit(ctx context.Context, s job.Sweep) (accepted, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return accepted{}, fmt.Errorf("encode sweep: %w", err)
	}
	key := uuid.NewString()
	return backoff.Retry(ctx, func() (accepted, error) {
		var a accepted
		err := c.do(ctx, http.MethodPost, "/webhook/trading-sweep", body, http.Header{"Idempotency-Key": {key}}, &a)
		var answer *apiError
		if errors.As(err, &answer) && answer.Status != http.StatusServiceUnavailable && answer.Status != http.StatusTooManyRequests {
			return a, backoff.Permanent(err)
		}
		return a, err
	}, backoff.WithMaxTries(4))
}

// known is a job as the API gives it: jobs.Found.
type known struct {
	job.Job

	DisplayStatus  job.State  `json:"display_status"`
	RetriedBy      []string   `json:"retried_by,omitempty"`
	Place          int        `json:"place,omitempty"`
	ElapsedSeconds float64    `json:"elapsed_seconds,omitempty"`
	ETA            *time.Time `json:"eta,omitempty"`
}

func (c *client) job(ctx context.Context, id string) (known, error) {
	var j known
	err := c.do(ctx, http.MethodGet, "/webhook/jobs/"+url.PathEscape(id), nil, nil, &j)
	return j, err
}

// page is one page of jobs.
type page struct {
	Jobs       []known `json:"jobs"`
	NextCursor string  `json:"next_cursor,omitempty"`
}

func (c *client) jobs(ctx context.Context, query url.Values) (page, error) {
	var p page
	err := c.do(ctx, http.MethodGet, "/api/jobs?"+query.Encode(), nil, nil, &p)
	return p, err
}

func (c *client) timeline(ctx context.Context, id string) ([]job.TimelineEvent, error) {
	var t struct {
		Events []job.TimelineEvent `json:"events"`
	}
	err := c.do(ctx, http.MethodGet, "/api/jobs/"+url.PathEscape(id)+"/events", nil, nil, &t)
	return t.Events, err
}

// do makes one call and reads its JSON answer into out (nil: not wanted).
func (c *client) do(ctx context.Context, method, path string, body []byte, header http.Header, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	resp, err := c.open(ctx, method, path, body, header)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, answerSize)).Decode(out); err != nil {
		return fmt.Errorf("read answer of %s: %w", c.base, err)
	}
	return nil
}

// open makes one call and gives its answer, a success, to be read and closed.
func (c *client) open(ctx context.Context, method, path string, body []byte, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, &unreachable{c.base, err}
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	return nil, answerOf(resp)
}
