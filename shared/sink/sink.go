// Package sink posts events to K_SINK, the broker's ingress: once it has answered 2xx, it
// keeps them.
package sink

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/creasty/defaults"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/handover"
	"github.com/zixly/sweepline/shared/seal"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/transport"
)

const (
	// sinkTimeout bounds the posting of one Send while the sink can't be reached.
	// A pod that has just started may be ahead of its network: on a cluster whose
	// policies are enforced, the first connections are refused for a second.
	// More patience is the caller's business: it knows who is waiting.
	sinkTimeout    = 2 * time.Second
	sinkFirstPause = 50 * time.Millisecond
	// maxAnswer bounds what is read of an answer, so that its connection can
	// be used again.
	maxAnswer = 64 << 10
)

// Config is what sending events needs.
type Config struct {
	// Sink is where events go: the broker's ingress. Knative sets it through a
	// SinkBinding, the local runner by itself.
	Sink string `envconfig:"K_SINK" required:"nonempty"`
	// SinkCACerts are certificates, as PEM, that vouch for the sink beside those
	// which the system trusts. A SinkBinding sets them with the sink.
	SinkCACerts string `envconfig:"K_CA_CERTS"`
	// SinkToken is a file with the token that says to the sink who posts; a SinkBinding
	// mounts it there. Without the file nobody is told.
	SinkToken string `envconfig:"K_SINK_TOKEN_FILE" default:"/oidc/token"`
	// SinkTimeout bounds one try of posting to the sink.
	SinkTimeout time.Duration `envconfig:"K_SINK_TIMEOUT" default:"5s"`
	// Seals are the keys that events are sealed with.
	Seals seal.Config
}

// Sink posts events to K_SINK. It is safe for concurrent use.
type Sink struct {
	url     string
	address *url.URL
	timeout time.Duration
	client  *http.Client
	seals   *seal.Keys
	token   *token
	// priority is the header of that name, empty for none.
	priority string
}

// Option changes a Sink.
type Option func(*Sink)

// WithTransport has events posted by rt instead of over the network.
func WithTransport(rt http.RoundTripper) Option {
	return func(s *Sink) { s.client.Transport = rt }
}

// OfAcceptedWork marks the events as part of work that was accepted before: our broker
// takes them where it has no room for new work. Others ignore the mark.
// Rule: RFC 9218, urgency 1 of 0 to 7, where 3 is what is not marked.
func OfAcceptedWork() Option { return func(s *Sink) { s.priority = "u=1" } }

// WithSeals has events sealed with other keys than Config's.
func WithSeals(k *seal.Keys) Option { return func(s *Sink) { s.seals = k } }

// New checks cfg and does no I/O.
func New(cfg Config, options ...Option) (*Sink, error) {
	u, err := transport.ParseURL(cfg.Sink)
	if err != nil {
		return nil, fmt.Errorf("K_SINK %w", err)
	}
	var usual Config
	defaults.MustSet(&usual)
	cfg.SinkTimeout = cmp.Or(cfg.SinkTimeout, usual.SinkTimeout)
	if cfg.SinkTimeout < 0 {
		return nil, errors.New("K_SINK_TIMEOUT must not be negative")
	}
	trust, err := transport.Trust(cfg.SinkCACerts)
	if err != nil {
		return nil, fmt.Errorf("K_CA_CERTS: %w", err)
	}
	s := &Sink{url: u.String(), address: u, timeout: cfg.SinkTimeout, token: newToken(cfg.SinkToken), client: &http.Client{
		Transport:     transport.New(256, trust), // one host takes everything
		CheckRedirect: transport.NoRedirects,
	}}
	for _, o := range options {
		o(s)
	}
	if s.seals == nil {
		if s.seals, err = seal.New(cfg.Seals); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Send seals the events and posts them: one in binary mode, several as one batch, which the
// sink takes all or none of. A sink that knows no batches gets them one by
// one, in order; then an error may come after some were taken. nil means that
// the sink has answered 2xx for every event, so it keeps them.
//
// The error is an Unavailable where a later try may succeed, and a Refused
// where the sink will never take it. Sending the same event again is safe: its
// id is the same. The events may not be changed after, also where there was an error:
// a broker in the same process may still be reading them.
func (s *Sink) Send(ctx context.Context, events ...cloudevents.Event) (err error) {
	if len(events) > 0 {
		var span trace.Span
		ctx, span = telemetry.Span(telemetry.FromEvent(ctx, events[0]), "send "+events[0].Type(), trace.SpanKindProducer,
			attribute.String("cloudevents.event_id", events[0].ID()), attribute.Int("messaging.batch.message_count", len(events)))
		defer func() { telemetry.End(span, err) }()
	}
	for i := range events {
		s.seals.Seal(&events[i])
	}
	switch {
	case len(events) == 0:
		return nil
	case handover.Local(s.client.Transport, s.address):
		return s.hand(ctx, events)
	case len(events) == 1:
		return s.sendOne(ctx, events[0])
	}
	body, err := json.Marshal(events)
	if err != nil {
		return fmt.Errorf("encode events: %w", err)
	}
	err = s.post(ctx, func(req *http.Request) error {
		req.Header.Set("Content-Type", cloudevents.ApplicationCloudEventsBatchJSON)
		setBody(req, body)
		return nil
	})
	var refused *Refused
	if !errors.As(err, &refused) || refused.Status != http.StatusUnsupportedMediaType {
		return err
	}
	for _, e := range events {
		if err := s.sendOne(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// hand sends to a broker in this process.
func (s *Sink) hand(ctx context.Context, events []cloudevents.Event) error {
	return s.post(ctx, func(req *http.Request) error {
		req.ContentLength = -1
		req.Body = handover.NewBody(func() []cloudevents.Event { return events }, func() ([]byte, error) {
			return json.Marshal(events)
		})
		req.Header.Set("Content-Type", cloudevents.ApplicationCloudEventsBatchJSON)
		return nil
	})
}

func (s *Sink) sendOne(ctx context.Context, e cloudevents.Event) error {
	err := s.post(ctx, func(req *http.Request) error {
		return cehttp.WriteRequest(binding.WithForceBinary(ctx), binding.ToMessage(&e), req)
	})
	if err != nil {
		return fmt.Errorf("send %s: %w", e.Type(), err)
	}
	return nil
}

func setBody(req *http.Request, body []byte) {
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, _ = req.GetBody()
}

// post tries until there is an answer, for sinkTimeout or as long as ctx lets it.
func (s *Sink) post(ctx context.Context, write func(*http.Request) error) error {
	var last error
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		last = s.try(ctx, write)
		var u *Unavailable
		if last == nil || errors.As(last, &u) && u.Status == 0 {
			return struct{}{}, last
		}
		return struct{}{}, backoff.Permanent(last)
	}, backoff.WithMaxElapsedTime(sinkTimeout), backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: sinkFirstPause, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: sinkTimeout,
	}))
	if err != nil {
		return last // not that ctx has ended, but what stood in the way
	}
	return nil
}

func (s *Sink) try(ctx context.Context, write func(*http.Request) error) error {
	tryCtx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(tryCtx, http.MethodPost, s.url, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request to sink: %w", err)
	}
	if err := write(req); err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	// The sink drops repeats by event id, so a request that met a closed idle
	// connection may be sent again. The empty value tells net/http this and
	// nobody else.
	req.Header["Idempotency-Key"] = nil
	if s.priority != "" {
		req.Header.Set("Priority", s.priority)
	}
	telemetry.IntoHeader(ctx, req.Header)
	if !handover.Local(s.client.Transport, s.address) {
		s.token.into(req.Header)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var u *url.Error // its text repeats the address
		if errors.As(err, &u) {
			err = u.Err
		}
		return &Unavailable{RetryAfter: DefaultRetryAfter, Err: fmt.Errorf("reach sink: %w", err)}
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	switch {
	case resp.StatusCode < 300:
		return nil
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		// It is about who we are, not about the event: a fresh token, or an operator, mends it.
		s.token.stale()
		return &Unavailable{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, time.Now()), Err: &Refused{Status: resp.StatusCode}}
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout:
		return &Unavailable{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, time.Now()), Err: &Refused{Status: resp.StatusCode}}
	default:
		return &Refused{Status: resp.StatusCode}
	}
}
