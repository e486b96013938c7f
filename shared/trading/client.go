package trading

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/transport"
)

// Endpoints are the values that an [Observer] gets to see, all of them.
var Endpoints = []string{"health", "submit", "job", "jobs", "cancel", "best", "results"}

// Observer is told how long each call took, answered or not; endpoint is one of
// [Endpoints]. It feeds pipeline_trading_api_latency_seconds{endpoint}.
type Observer func(endpoint string, took time.Duration)

// Client speaks to the trading API. It is safe for concurrent use and retries
// nothing.
type Client struct {
	cfg     Config
	base    *url.URL
	http    *http.Client
	observe Observer
	pace    func(context.Context) error
}

// Option changes how New builds a client.
type Option func(*Client)

// WithObserver reports the duration of every call.
func WithObserver(o Observer) Option { return func(c *Client) { c.observe = o } }

// WithPace is asked before each call that is not Paid, and returns when it may be
// made: so no call is forgotten when they are counted against the API's limit. Its
// error is the call's.
func WithPace(pace func(context.Context) error) Option { return func(c *Client) { c.pace = pace } }

// WithTransport replaces the transport, for tracing or tests.
func WithTransport(t http.RoundTripper) Option { return func(c *Client) { c.http.Transport = t } }

// New checks the configuration, naming every variable that is wrong. It makes
// no connection. Steps of the pipeline use Open.
func New(cfg Config, options ...Option) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("TRADING_API_URL: %w", err)
	}
	c := &Client{
		cfg:     cfg,
		base:    base,
		http:    &http.Client{Transport: transport.Proxied(256, nil)}, // more than the steps have at once
		observe: func(string, time.Duration) {},
		pace:    func(context.Context) error { return nil },
	}
	for _, option := range options {
		option(c)
	}
	c.http.CheckRedirect = c.sameHost
	if c.observe == nil || c.pace == nil || c.http.Transport == nil {
		return nil, errors.New("trading: option must not be nil")
	}
	return c, nil
}

// Close gives idle connections up.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// sameHost follows a few redirects, such as the API's own for a trailing slash,
// but never carries the key to another host. Each is one more call.
func (c *Client) sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > 3 || req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return http.ErrUseLastResponse
	}
	return c.pace(req.Context())
}

type paidKey struct{}

// Paid marks a call as counted against the API's limit already. It is for one
// call.
func Paid(ctx context.Context) context.Context { return context.WithValue(ctx, paidKey{}, true) }

// PaidBy is Paid where a granted call is left to spend; without one the client waits
// for a call.
func PaidBy(ctx context.Context, granted interface{ Spend() bool }) context.Context {
	if granted.Spend() {
		return Paid(ctx)
	}
	return ctx
}

// unpaid is ctx for further calls.
func unpaid(ctx context.Context) context.Context { return context.WithValue(ctx, paidKey{}, false) }

type beforeKey struct{}

// Before has check called when a call is about to be made, after whatever it waited for.
// Its error is the call's, which was not made then.
func Before(ctx context.Context, check func(context.Context) error) context.Context {
	return context.WithValue(ctx, beforeKey{}, check)
}

// call is one request to the API.
type call struct {
	op       string // for errors: "submit sweep"
	endpoint string
	method   string
	path     []string // unescaped elements
	query    url.Values
	kind     string // content type of body
	body     []byte
	timeout  time.Duration
	most     int // bytes of the answer; 0 for maxAnswer
}

// do makes the call and decodes a 2xx answer into into, unless that is nil. Its
// error is always an *Error.
func (c *Client) do(ctx context.Context, r call, into any) (err error) {
	ctx, span := telemetry.Span(ctx, "trading API "+r.endpoint, trace.SpanKindClient,
		attribute.String("http.request.method", r.method), attribute.String("trading.endpoint", r.endpoint))
	defer func() {
		var e *Error
		if errors.As(err, &e) && e.Status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", e.Status))
		}
		telemetry.End(span, err)
	}()
	if paid, _ := ctx.Value(paidKey{}).(bool); !paid {
		if err := c.pace(ctx); err != nil {
			return &Error{Op: r.op, unpaid: true, cause: err}
		}
	}
	if check, ok := ctx.Value(beforeKey{}).(func(context.Context) error); ok {
		if err := check(ctx); err != nil {
			return &Error{Op: r.op, unpaid: true, cause: err}
		}
	}
	if r.timeout == 0 {
		r.timeout = c.cfg.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	start := time.Now()
	defer func() { c.observe(r.endpoint, time.Since(start)) }()

	// Until the headers are written the API can't know of the request; after
	// that an error leaves open whether it does.
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	fail := func(err error) error { return &Error{Op: r.op, sent: sent.Load(), cause: err} }

	req, err := http.NewRequestWithContext(ctx, r.method, c.url(r), bytes.NewReader(r.body))
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sweepline")
	req.Header.Set("X-API-Key", c.cfg.Key)
	if r.kind != "" {
		req.Header.Set("Content-Type", r.kind)
	}
	telemetry.IntoHeader(ctx, req.Header)
	resp, err := c.http.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return readError(r.op, resp)
	}
	body := &answer{body: resp.Body, left: r.most}
	if body.left == 0 {
		body.left = maxAnswer
	}
	if into == nil { // what it says does not matter; read, it leaves the connection to others
		_, err = io.Copy(io.Discard, body)
	} else {
		err = body.decode(into)
	}
	switch {
	case err == nil:
		return nil
	case body.failed != nil:
		return fail(fmt.Errorf("read response: %w", body.failed))
	case body.over:
		return &Error{Op: r.op, Status: resp.StatusCode, sent: true, cause: errTooLarge}
	case errors.Is(err, io.EOF): // nothing at all
		err = io.ErrUnexpectedEOF
	}
	return &Error{Op: r.op, Status: resp.StatusCode, sent: true, cause: fmt.Errorf("read response: %w", err)}
}

// url joins the base with the path, each element escaped: ids come from outside.
func (c *Client) url(r call) string {
	elements := make([]string, len(r.path))
	for i, e := range r.path {
		elements[i] = url.PathEscape(e)
	}
	u := c.base.JoinPath(elements...)
	if len(r.path) > 0 && r.path[len(r.path)-1] == "" {
		u = u.JoinPath("/")
	}
	u.RawQuery = r.query.Encode()
	return u.String()
}

// Health asks whether the API is up; nil means that it says it is healthy.
func (c *Client) Health(ctx context.Context) error {
	const op = "check trading API"
	var answer struct {
		Status string `json:"status"`
	}
	err := c.do(ctx, call{op: op, endpoint: "health", method: http.MethodGet, path: []string{"health"}}, &answer)
	if err != nil {
		return err
	}
	if answer.Status != "healthy" && answer.Status != "ok" {
		return &Error{Op: op, Status: http.StatusOK, Detail: "status is " + clean(answer.Status, 40)}
	}
	return nil
}
