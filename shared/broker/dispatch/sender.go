package dispatch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/broker/stream"
	"github.com/zixly/sweepline/shared/handover"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/transport"
)

// sender makes the attempts of one Trigger: each is one POST, to the subscriber or to the
// dead letter sink, and a result for each event in it. subscription.attempt calls it in
// the goroutine of a delivery. It owns a transport only where the Trigger names
// certificates of its own; otherwise all Triggers of a Broker share one.
type sender struct {
	cfg     *Config
	trigger Trigger
	metrics *triggerMetrics
	log     *slog.Logger
	rt      http.RoundTripper
	target  *url.URL
	sink    *url.URL
}

const (
	// errorDataBytes of a failed answer are kept: 1024 characters of base64.
	errorDataBytes = 768
	// drainBytes are read of a body that is not wanted, to keep the connection.
	drainBytes = 64 << 10
	userAgent  = "sweepline-broker/1"
)

// NewTransport keeps enough idle connections for the usual parallelism. trust is nil
// for what the system trusts.
func NewTransport(trust *tls.Config) *http.Transport {
	t := transport.New(512, trust)
	t.MaxIdleConns = 4096 // over all subscribers
	t.DisableCompression = true
	t.WriteBufferSize, t.ReadBufferSize = 16<<10, 8<<10
	return t
}

// result is how one attempt ended.
type result struct {
	// ok is a 2xx with a body that is not a malformed event.
	ok bool
	// answered: there was an HTTP answer.
	answered bool
	// code is the HTTP status. Where there was no answer it is 500, which is
	// what Knative reports then.
	code int
	// data is the beginning of the answer's body, or the error's text.
	data string
	// retryable: another attempt may help.
	retryable bool
	// own: the subscriber has said this of the one event, not of its batch.
	own bool
	// absent: the attempt met nobody.
	absent bool
	// retryAfter is what a 429 or 503 asked for, 0 if nothing.
	retryAfter time.Duration
	replies    []*cloudevent.Message
}

func newSender(cfg *Config, rt http.RoundTripper, t Trigger, m *triggerMetrics, log *slog.Logger) *sender {
	s := &sender{cfg: cfg, trigger: t, metrics: m, log: log, rt: rt}
	// All were checked when the set was applied.
	if trust, _ := transport.Trust(t.CACerts); trust != nil {
		s.rt = NewTransport(trust) // its idle connections end by themselves
	}
	s.target, _ = url.Parse(t.Subscriber)
	if t.Delivery.DeadLetterSink != "" {
		s.sink, _ = url.Parse(t.Delivery.DeadLetterSink)
	}
	return s
}

// deliver makes one attempt at a URL, in the Trigger's format, within its timeout.
func (s *sender) deliver(ctx context.Context, to *url.URL, m *cloudevent.Message) result {
	h := make(http.Header, 8)
	req := &http.Request{Header: h}
	switch {
	case handover.Local(s.rt, to):
		h["Content-Type"] = []string{cloudevent.MediaStructured}
		setEvents(req, m)
	case s.trigger.Delivery.Format == FormatJSON:
		h["Content-Type"] = []string{cloudevent.MediaStructured + "; charset=UTF-8"}
		setText(req, encode(m))
	default:
		h = make(http.Header, 20)
		req.Header = h
		m.Header(h)
		setText(req, m.Data)
	}
	m.Trace(h)
	telemetry.IntoHeader(ctx, h) // the attempt's span, where there are spans
	return s.post(ctx, to, req, 1)[0]
}

// deliverBatch makes one attempt with all messages in the JSON batch format. It
// returns a result for each.
func (s *sender) deliverBatch(ctx context.Context, messages []*cloudevent.Message) []result {
	req := &http.Request{Header: http.Header{
		"Content-Type": {cloudevent.MediaBatch + "; charset=UTF-8"},
		"Accept":       {mediaOutcomes},
	}}
	if handover.Local(s.rt, s.target) {
		setEvents(req, messages...)
	} else {
		setText(req, encodeBatch(messages))
	}
	return s.post(ctx, s.target, req, len(messages))
}

func setText(req *http.Request, body string) {
	req.Body = http.NoBody
	if body == "" {
		return
	}
	req.ContentLength = int64(len(body))
	req.Body = io.NopCloser(strings.NewReader(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
}

func encode(m *cloudevent.Message) string {
	var b bytes.Buffer
	b.Grow(len(m.Data) + 512)
	m.AppendJSON(&b)
	return b.String()
}

func encodeBatch(messages []*cloudevent.Message) string {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, m := range messages {
		if i > 0 {
			b.WriteByte(',')
		}
		m.AppendJSON(&b)
	}
	b.WriteByte(']')
	return b.String()
}

// setEvents is for a subscriber in this process: in the structured mode or, of several
// events, the batched one, should it read the body.
func setEvents(req *http.Request, messages ...*cloudevent.Message) {
	req.ContentLength = -1
	req.Body = handover.NewBody(func() []event.Event {
		events := make([]event.Event, len(messages))
		for i, m := range messages {
			events[i] = m.EventWithData()
		}
		return events
	}, func() ([]byte, error) {
		if len(messages) == 1 {
			return []byte(encode(messages[0])), nil
		}
		return []byte(encodeBatch(messages)), nil
	})
}

// post makes one request with n events, of which headers and body are there. It
// returns n results.
func (s *sender) post(ctx context.Context, to *url.URL, req *http.Request, n int) []result {
	timeout := s.trigger.Delivery.Timeout
	if timeout <= 0 {
		timeout = s.cfg.DeliveryTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req.Header["Prefer"] = []string{"reply"}
	req.Header["User-Agent"] = []string{userAgent}
	req.Header["Kn-Namespace"] = []string{s.trigger.Namespace} // as Knative's brokers name theirs
	if err := s.prove(req.Header, to); err != nil {
		return alike(n, result{code: http.StatusInternalServerError, data: stream.Clip(noAnswer+err.Error(), errorDataBytes), retryable: true, absent: true})
	}
	req.Method, req.URL, req.Host = http.MethodPost, to, to.Host
	req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/1.1", 1, 1
	start := time.Now()
	results := s.exchange(ctx, req, n)
	s.metrics.delivery.Observe(time.Since(start).Seconds())
	for _, r := range results {
		s.metrics.count(r)
	}
	return results
}

// prove adds the token that says to the subscriber, or the dead letter sink, who posts.
func (s *sender) prove(h http.Header, to *url.URL) error {
	audience := s.trigger.Audience
	if to == s.sink {
		audience = s.trigger.Delivery.DeadLetterSinkAudience
	}
	if audience == "" || s.cfg.Token == nil {
		return nil
	}
	token, err := s.cfg.Token(s.trigger.Identity, audience)
	if err == nil {
		h["Authorization"] = []string{"Bearer " + token}
	}
	return err
}

// noAnswer begins the data of a result without an HTTP answer, as in Knative.
const noAnswer = "dispatch error: "

func (s *sender) exchange(ctx context.Context, req *http.Request, n int) []result {
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return alike(n, result{
			code: http.StatusInternalServerError, data: noAnswer + "unsupported protocol scheme " + strconv.Quote(req.URL.Scheme),
		})
	}
	// The transport itself: a redirect is an answer like any other.
	var line connecting
	resp, err := s.rt.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, line.trace())))
	if err != nil {
		return alike(n, result{
			code: http.StatusInternalServerError, data: stream.Clip(noAnswer+err.Error(), errorDataBytes), retryable: true,
			absent: line.none() || nobody(err),
		})
	}
	defer func() { _ = resp.Body.Close() }() // nothing is lost with it
	if list, ok := handover.Outcomes(resp); ok {
		return handedOutcomes(list, n)
	}
	if resp.StatusCode/100 != 2 {
		return alike(n, s.refused(resp))
	}
	res := result{ok: true, answered: true, code: resp.StatusCode}
	if n > 1 && resp.StatusCode == http.StatusMultiStatus {
		return s.outcomes(resp, n)
	}
	if resp.ContentLength == 0 && !cloudevent.IsEvent(resp.Header) {
		return alike(n, res)
	}
	if resp.StatusCode == http.StatusAccepted { // its body is not routed
		drain(resp.Body)
		return alike(n, res)
	}
	body, err := s.read(resp, int64(n))
	switch {
	case err != nil:
		return alike(n, failed(resp.StatusCode, err.Error()))
	case !cloudevent.IsEvent(resp.Header):
		if len(body) > 0 {
			s.log.WarnContext(ctx, "response body dropped: not a CloudEvent",
				"trigger", s.trigger.String(), "status", resp.StatusCode)
		}
		return alike(n, res)
	}
	replies, err := cloudevent.ParseHTTP(resp.Header, body, true)
	if err != nil {
		return alike(n, failed(resp.StatusCode, fmt.Sprintf("reply is not a valid CloudEvent: %v", err)))
	}
	results := alike(n, res)
	for i, r := range replies { // in the order of the events, as far as they go
		at := min(i, n-1)
		results[at].replies = append(results[at].replies, r)
	}
	return results
}

func (s *sender) read(resp *http.Response, n int64) ([]byte, error) {
	limit := s.cfg.MaxEventBytes * min(n, 16)
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read reply: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, errors.New("reply is too large")
	}
	return body, nil
}

func alike(n int, r result) []result {
	out := make([]result, n)
	for i := range out {
		out[i] = r
	}
	return out
}

// failed is an answered delivery that has failed all the same.
func failed(code int, reason string) result {
	return result{answered: true, code: code, data: stream.Clip(reason, errorDataBytes), retryable: true}
}

func (s *sender) refused(resp *http.Response) result {
	buf := make([]byte, errorDataBytes)
	n, err := io.ReadFull(resp.Body, buf)
	if err == nil {
		drain(resp.Body)
	}
	return refusal(resp.StatusCode, string(buf[:n]), transport.RetryAfter(resp.Header, time.Now()))
}

// refusal is an answer other than 2xx.
func refusal(code int, data string, retryAfter time.Duration) result {
	r := result{answered: true, code: code, data: stream.Clip(data, errorDataBytes), retryable: retryable(code), absent: absent(code)}
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		r.retryAfter = retryAfter
	}
	return r
}

func drain(r io.Reader) { _, _ = io.CopyN(io.Discard, r, drainBytes) } // only to keep the connection

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

// connecting watches whether a request gets a connection: one whose other side takes no
// handshake, or cannot prove who it is, has met nobody either.
type connecting struct{ wanted, had atomic.Bool }

func (c *connecting) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { c.wanted.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { c.had.Store(true) },
	}
}

// none reports whether there was none. Within a process none is wanted.
func (c *connecting) none() bool { return c.wanted.Load() && !c.had.Load() }

// nobody reports whether an attempt without an answer met nobody: there was no
// connection, or it was cut before an answer, as by a proxy whose backend is gone or a
// process that is killed. An attempt that ran out of time met somebody.
func nobody(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial" ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EPIPE)
}

// absent are the statuses that say that nobody was there to look at the event.
func absent(code int) bool {
	return code == http.StatusBadGateway || code == http.StatusServiceUnavailable || code == http.StatusGatewayTimeout
}
