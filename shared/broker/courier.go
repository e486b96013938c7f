package broker

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/connect"
	"github.com/zixly/sweepline/shared/telemetry"
)

const (
	// errorDataBytes of a failed answer are kept: 1024 characters of base64.
	errorDataBytes = 768
	// drainBytes are read of a body that is not wanted, to keep the connection.
	drainBytes = 64 << 10
	userAgent  = "sweepline-broker/1"
)

// newHTTPClient keeps enough idle connections for the usual parallelism and
// follows no redirect: 3xx is an answer like any other. Deadlines come with each
// request's context. trust is nil for what the system trusts.
func newHTTPClient(trust *tls.Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:       trust,
			TLSHandshakeTimeout:   5 * time.Second,
			MaxIdleConns:          4096,
			MaxIdleConnsPerHost:   512,
			IdleConnTimeout:       90 * time.Second,
			DisableCompression:    true,
			ForceAttemptHTTP2:     true,
			WriteBufferSize:       16 << 10,
			ReadBufferSize:        8 << 10,
			ExpectContinueTimeout: time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// result is how one attempt ended.
type result struct {
	// ok is a 2xx with a body that is no malformed event.
	ok bool
	// code is the HTTP status. Where there was no answer it is 500, which is
	// what Knative reports then.
	code int
	// data is the beginning of the answer's body, or the error's text.
	data string
	// retryable: another attempt may help.
	retryable bool
	// retryAfter is what a 429 or 503 asked for, 0 if nothing.
	retryAfter time.Duration
	replies    []*message
}

// courier posts one Trigger's events.
type courier struct {
	srv     *Server
	trigger Trigger
	metrics *triggerMetrics
	client  *http.Client
	target  *url.URL
	sink    *url.URL
}

func newCourier(sub *subscription) *courier {
	c := &courier{srv: sub.srv, trigger: sub.trigger, metrics: sub.metrics, client: sub.srv.http}
	// All were checked when the set was applied.
	if trust, _ := connect.Trust(sub.trigger.CACerts); trust != nil {
		c.client = newHTTPClient(trust) // its idle connections end by themselves
	}
	c.target, _ = url.Parse(sub.trigger.Subscriber)
	if sub.trigger.Delivery.DeadLetterSink != "" {
		c.sink, _ = url.Parse(sub.trigger.Delivery.DeadLetterSink)
	}
	return c
}

// deliver makes one attempt at url, in the Trigger's format, within its timeout.
func (c *courier) deliver(ctx context.Context, to *url.URL, m *message) result {
	h := make(http.Header, len(m.attrs)+5)
	body := m.data
	if c.trigger.Delivery.Format == FormatJSON {
		var b bytes.Buffer
		b.Grow(len(m.data) + 512)
		m.appendJSON(&b)
		h["Content-Type"] = []string{mediaStructured + "; charset=UTF-8"}
		body = b.String()
	} else {
		m.header(h)
	}
	m.trace(h)
	telemetry.IntoHeader(ctx, h) // the attempt's span, where there are spans
	return c.post(ctx, to, h, body)
}

// deliverBatch makes one attempt with all messages in the JSON batch format.
func (c *courier) deliverBatch(ctx context.Context, messages []*message) result {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, m := range messages {
		if i > 0 {
			b.WriteByte(',')
		}
		m.appendJSON(&b)
	}
	b.WriteByte(']')
	h := http.Header{"Content-Type": {mediaBatch + "; charset=UTF-8"}}
	return c.post(ctx, c.target, h, b.String())
}

func (c *courier) post(ctx context.Context, to *url.URL, h http.Header, body string) result {
	timeout := c.trigger.Delivery.Timeout
	if timeout <= 0 {
		timeout = c.srv.cfg.DeliveryTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	h["Prefer"] = []string{"reply"}
	h["User-Agent"] = []string{userAgent}
	req := (&http.Request{
		Method: http.MethodPost, URL: to, Host: to.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(body)),
		Body:          http.NoBody,
	}).WithContext(ctx)
	if body != "" {
		req.Body = io.NopCloser(strings.NewReader(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	}
	start := time.Now()
	res := c.exchange(req)
	c.metrics.delivery.Observe(time.Since(start).Seconds())
	c.count(res)
	return res
}

func (c *courier) count(res result) {
	label := "error"
	if res.code > 0 && !strings.HasPrefix(res.data, noAnswer) {
		label = strconv.Itoa(res.code/100) + "xx"
	}
	k := c.trigger.key()
	c.srv.metrics.attempts.WithLabelValues(k.namespace, k.broker, k.name, label).Inc()
}

// noAnswer begins the data of a result without an HTTP answer, as in Knative.
const noAnswer = "dispatch error: "

func (c *courier) exchange(req *http.Request) result {
	resp, err := c.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL is reported by itself
		}
		return result{code: http.StatusInternalServerError, data: noAnswer + err.Error(), retryable: true}
	}
	defer func() { _ = resp.Body.Close() }() // nothing is lost with it
	if resp.StatusCode/100 != 2 {
		return c.refused(resp)
	}
	res := result{ok: true, code: resp.StatusCode}
	if resp.ContentLength == 0 && !isEvent(resp.Header) {
		return res
	}
	if resp.StatusCode == http.StatusAccepted { // its body is not routed
		drain(resp.Body)
		return res
	}
	limit := c.srv.cfg.MaxEventBytes
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return failed(resp.StatusCode, fmt.Sprintf("read reply: %v", err))
	}
	if !isEvent(resp.Header) {
		if len(body) > 0 {
			drain(resp.Body)
			c.srv.log.WarnContext(req.Context(), "Answer is no CloudEvent and is dropped",
				"trigger", c.trigger.key().String(), "status", resp.StatusCode)
		}
		return res
	}
	if int64(len(body)) > limit {
		return failed(resp.StatusCode, "reply is too large")
	}
	if res.replies, err = parseHTTP(resp.Header, body, true); err != nil {
		return failed(resp.StatusCode, fmt.Sprintf("reply is no valid CloudEvent: %v", err))
	}
	return res
}

// failed is an answered delivery that has failed all the same.
func failed(code int, reason string) result {
	return result{code: code, data: clip(reason, errorDataBytes), retryable: true}
}

func (c *courier) refused(resp *http.Response) result {
	buf := make([]byte, errorDataBytes)
	n, err := io.ReadFull(resp.Body, buf)
	if err == nil {
		drain(resp.Body)
	}
	res := result{code: resp.StatusCode, data: string(buf[:n]), retryable: retryable(resp.StatusCode)}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		res.retryAfter = parseRetryAfter(resp.Header.Get("Retry-After"), c.srv.cfg.now())
	}
	return res
}

func drain(r io.Reader) { _, _ = io.CopyN(io.Discard, r, drainBytes) } // only to keep the connection

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// retryable are the statuses after which another attempt may help.
// Rule: Knative Eventing data plane specification, "Retryable status codes".
func retryable(code int) bool {
	switch code {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict,
		http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return code >= 500
}

// parseRetryAfter reads seconds or an HTTP date; 0 if it says neither.
func parseRetryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		return max(time.Duration(n)*time.Second, 0)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// retryState is what an event has been through. It is kept in the retry set.
type retryState struct {
	Attempts int `json:"attempts"`
	// Sink counts attempts at the dead letter sink; the event is dead where
	// Died is set.
	Sink  int   `json:"sink,omitempty"`
	Died  int64 `json:"died,omitempty"`
	First int64 `json:"first,omitempty"`
	// Code and Data are of the last failed attempt at the subscriber.
	Code int    `json:"code,omitempty"`
	Data []byte `json:"data,omitempty"`
	Dest string `json:"dest,omitempty"`
	// SinkCode and SinkData are of the last failed attempt at the sink.
	SinkCode int    `json:"sink_code,omitempty"`
	SinkData []byte `json:"sink_data,omitempty"`
}

func (s retryState) encode() []byte {
	b, _ := json.Marshal(s) // a struct of numbers and bytes always encodes
	return b
}
