// Package client speaks sweepline's public HTTP API: it sends sweeps, follows and reads
// jobs, and acts on them, on dead letters and on the broker. What the API answers is
// described at /openapi.json.
//
//	c, err := client.New("http://localhost:8080", key)
//	a, err := c.Submit(ctx, client.Request{Sweep: sweep}, "monday-1")
//	j, err := c.Wait(ctx, a.JobID)
//
// Errors are *Error where the server refused, *Unreachable where nobody answered.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/transport"
)

const (
	// callTimeout bounds one call; downloads and streams have no bound.
	callTimeout = 30 * time.Second
	// maxAnswer is the largest answer that is read, in bytes, and the largest event of a
	// stream.
	maxAnswer = 16 << 20
)

// Client calls one sweepline. It is safe for concurrent use.
type Client struct {
	base, key string
	http      *http.Client
}

// Option changes what New makes.
type Option func(*Client)

// WithHTTPClient calls through h, http.DefaultClient otherwise. A Timeout of h ends
// downloads and streams as well. Its CheckRedirect is not asked: redirects are errors.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// New makes a Client of the server at base, such as "http://localhost:8080"; key is a
// tenant's, empty where the server asks for none. It does no I/O.
func New(base, key string, options ...Option) (*Client, error) {
	if _, err := transport.ParseBase(base); err != nil {
		return nil, fmt.Errorf("the server's address %w, as http://localhost:8080", err)
	}
	c := &Client{base: strings.TrimRight(base, "/"), key: key, http: http.DefaultClient}
	for _, option := range options {
		option(c)
	}
	// The key and the sweep are for this address and no other.
	h := *c.http
	h.CheckRedirect = transport.NoRedirects
	c.http = &h
	return c, nil
}

// Base is the server's address, without a slash at its end.
func (c *Client) Base() string { return c.base }

// Key is the tenant's key, empty for none.
func (c *Client) Key() string { return c.key }

// Error is a refusal of the server.
type Error struct {
	// Status is that of HTTP.
	Status int
	// Code is for programs, such as "not_found"; empty where somebody else answered.
	Code string
	// Message is for people.
	Message string
	// Details are all problems of the request.
	Details []job.Problem
	// RetryAfter is when the same request is worth sending again; 0 where nobody said.
	RetryAfter time.Duration
	// Path is that of the request.
	Path string
}

// Error is the message, and a line for each detail.
func (e *Error) Error() string {
	lines := []string{e.Message}
	if e.Message == "" {
		lines[0] = fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	}
	for _, d := range e.Details {
		lines = append(lines, "  "+d.Field+": "+d.Message)
	}
	return strings.Join(lines, "\n")
}

// Temporary reports whether the same request may be taken later: the server is
// unavailable, or is asked too often.
func (e *Error) Temporary() bool {
	return e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests
}

// Unreachable is the error where nobody answers.
type Unreachable struct { //nolint:errname // client.Unreachable says it
	// Base is the server's address.
	Base string
	Err  error
}

// Error says where nobody answers, without a password that is in the address, and why.
func (e *Unreachable) Error() string {
	return fmt.Sprintf("no sweepline answers at %s (%s)", redacted(e.Base), e.Err)
}

// redacted is an address without its password.
func redacted(base string) string {
	u, err := transport.ParseURL(base)
	if err != nil {
		return base
	}
	return u.Redacted()
}

// Unwrap gives the cause.
func (e *Unreachable) Unwrap() error { return e.Err }

// errorOf reads an answer that is no success. One that is not ours has no JSON: its
// status says enough.
func errorOf(r *http.Response) *Error {
	var body struct {
		Error   string        `json:"error"`
		Code    string        `json:"code"`
		Details []job.Problem `json:"details"`
	}
	_ = json.NewDecoder(io.LimitReader(r.Body, maxAnswer)).Decode(&body)
	e := &Error{Status: r.StatusCode, Code: body.Code, Message: body.Error, Details: body.Details, Path: r.Request.URL.Path}
	if to, err := r.Location(); err == nil && e.Message == "" {
		e.Message = fmt.Sprintf("the server redirects to %q, which is not followed", to.Scheme+"://"+to.Host)
	}
	e.RetryAfter = transport.RetryAfter(r.Header, time.Now())
	return e
}

// call is one request.
type call struct {
	method, path string
	query        url.Values
	header       http.Header
	// body is sent as JSON; nil for none.
	body any
}

// do makes a call and reads its JSON answer into out (nil: not wanted).
func (c *Client) do(ctx context.Context, a call, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read answer of %s: %w", redacted(c.base), err)
	}
	return nil
}

// request makes the request of a call.
func (c *Client) request(ctx context.Context, a call) (*http.Request, error) {
	var body io.Reader = http.NoBody
	if a.body != nil {
		text, err := json.Marshal(a.body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	address := c.base + a.path
	if len(a.query) > 0 {
		address += "?" + a.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, a.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for name, values := range a.header {
		req.Header[name] = values
	}
	if a.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	return req, nil
}

// open makes a call and returns its answer, a success, to be read and closed.
func (c *Client) open(ctx context.Context, a call) (*http.Response, error) {
	req, err := c.request(ctx, a)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, &Unreachable{Base: c.base, Err: err}
	}
	if resp.StatusCode < http.StatusMultipleChoices {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	return nil, errorOf(resp)
}

// withKey is a header with an idempotency key, nil without one.
func withKey(key string) http.Header {
	if key == "" {
		return nil
	}
	return http.Header{"Idempotency-Key": {key}}
}

// set adds a parameter that is not empty.
func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}
