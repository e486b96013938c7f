package telemetry

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/proto"

	"github.com/zixly/sweepline/shared/transport"
)

// otlpClient is an otlptrace.Client that posts protobuf. OpenTelemetry has one of
// its own, which brings all of gRPC along: 12 MB in each function's binary.
type otlpClient struct {
	url     string
	header  http.Header
	gzip    bool
	timeout time.Duration
	client  *http.Client
}

func newOTLPClient(cfg TraceConfig) (*otlpClient, error) {
	// What is for traces alone wins.
	c := &otlpClient{
		url: cfg.TracesEndpoint, header: http.Header{}, timeout: 10 * time.Second, client: &http.Client{Transport: transport.Proxied(1, nil)},
		gzip: cmp.Or(cfg.TracesCompression, cfg.Compression) == "gzip",
	}
	if c.url == "" {
		// OTLP/HTTP: the base URL's path, then v1/traces.
		c.url = strings.TrimSuffix(cfg.Endpoint, "/") + "/v1/traces"
	}
	if ms, err := strconv.Atoi(cmp.Or(cfg.TracesTimeout, cfg.Timeout, "10000")); err == nil && ms > 0 {
		c.timeout = time.Duration(ms) * time.Millisecond
	}
	for pair := range strings.SplitSeq(cmp.Or(cfg.TracesHeaders, cfg.Headers), ",") {
		name, value, ok := strings.Cut(pair, "=")
		plain, err := url.PathUnescape(strings.TrimSpace(value))
		switch name = strings.TrimSpace(name); {
		case strings.TrimSpace(pair) == "": // as after a last comma
		case !ok || err != nil || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(plain):
			return nil, errors.New("OTEL_EXPORTER_OTLP_HEADERS is not name=value,name=value with values percent-encoded")
		default:
			c.header.Set(name, plain)
		}
	}
	c.header.Set("Content-Type", "application/x-protobuf")
	if file := cmp.Or(cfg.TracesCertificate, cfg.Certificate); file != "" {
		text, err := os.ReadFile(file)
		trust, bad := transport.Trust(string(text))
		if err != nil || bad != nil || trust == nil {
			return nil, errors.New("OTEL_EXPORTER_OTLP_CERTIFICATE names no file of PEM certificates")
		}
		c.client.Transport = transport.Proxied(1, trust)
	}
	return c, nil
}

// Start has nothing to do: there is no connection to hold.
func (c *otlpClient) Start(context.Context) error { return nil }

// Stop lets idle connections go.
func (c *otlpClient) Stop(context.Context) error {
	c.client.CloseIdleConnections()
	return nil
}

// UploadTraces posts the spans, and again where the collector is away or says
// that it may help (OTLP 1.9, "Retryable Response Codes": 429, 502, 503, 504), all
// within the timeout.
func (c *otlpClient) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// Of the same form on the wire as ExportTraceServiceRequest, whose package
	// needs gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	if c.gzip {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write(body); err != nil {
			return fmt.Errorf("compress spans: %w", err)
		}
		if err := w.Close(); err != nil {
			return fmt.Errorf("compress spans: %w", err)
		}
		body = b.Bytes()
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, c.post(ctx, body) },
		backoff.WithBackOff(backoff.NewExponentialBackOff()), backoff.WithMaxElapsedTime(c.timeout))
	return err
}

func (c *otlpClient) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(err)
	}
	req.Header = c.header.Clone()
	if c.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("post spans: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // to use the connection again
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if wait := transport.RetryAfter(resp.Header, time.Now()); wait > 0 {
			return &backoff.RetryAfterError{Duration: wait}
		}
		return fmt.Errorf("post spans: answered %d", resp.StatusCode)
	}
	if resp.StatusCode/100 != 2 {
		return backoff.Permanent(fmt.Errorf("post spans: answered %d", resp.StatusCode))
	}
	return nil
}
