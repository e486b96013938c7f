package telemetry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/transport"
)

// flushTimeout bounds the sending of the last spans when a process ends. A pod
// that scales to zero has some seconds left by then.
const flushTimeout = 5 * time.Second

// TraceConfig is OpenTelemetry's own environment, as far as it concerns the way to
// the collector. The SDK reads the rest by itself: OTEL_TRACES_SAMPLER,
// OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME, OTEL_BSP_SCHEDULE_DELAY and more.
type TraceConfig struct {
	// Endpoint is a collector's base URL. Without it and TracesEndpoint there are no
	// traces.
	Endpoint string `envconfig:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	// TracesEndpoint is the collector's URL for traces, as a whole. It wins over
	// Endpoint, as the next ones win over those of their kind.
	TracesEndpoint string `envconfig:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"`
	// Protocol may be http/protobuf only.
	Protocol string `envconfig:"OTEL_EXPORTER_OTLP_PROTOCOL"`
	// TracesProtocol may be http/protobuf only.
	TracesProtocol string `envconfig:"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"`
	// Headers go with every post, as name=value,name=value with percent-encoded
	// values; they may hold secrets.
	Headers string `envconfig:"OTEL_EXPORTER_OTLP_HEADERS"`
	// TracesHeaders is the same for traces alone.
	TracesHeaders string `envconfig:"OTEL_EXPORTER_OTLP_TRACES_HEADERS"`
	// Timeout bounds one batch with its retries, in milliseconds. Default: 10000.
	Timeout string `envconfig:"OTEL_EXPORTER_OTLP_TIMEOUT"`
	// TracesTimeout is the same for traces alone.
	TracesTimeout string `envconfig:"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"`
	// Compression is the compression of each post: gzip or none.
	Compression string `envconfig:"OTEL_EXPORTER_OTLP_COMPRESSION"`
	// TracesCompression is the same for traces alone.
	TracesCompression string `envconfig:"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"`
	// Certificate is a file of PEM certificates that vouch for the collector.
	Certificate string `envconfig:"OTEL_EXPORTER_OTLP_CERTIFICATE"`
	// TracesCertificate is the same for traces alone.
	TracesCertificate string `envconfig:"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"`
	// Exporter is where spans go: otlp, or none for no traces.
	Exporter string `envconfig:"OTEL_TRACES_EXPORTER"`
	// Disabled switches all of OpenTelemetry off.
	Disabled bool `envconfig:"OTEL_SDK_DISABLED"`
}

func (c TraceConfig) off() bool {
	return c.Disabled || c.Exporter == "none" || (c.Endpoint == "" && c.TracesEndpoint == "")
}

func (c TraceConfig) validate() error {
	var errs []error
	if _, err := transport.ParseBase(c.Endpoint); c.Endpoint != "" && err != nil {
		errs = append(errs, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT %w", err))
	}
	if _, err := transport.ParseURL(c.TracesEndpoint); c.TracesEndpoint != "" && err != nil {
		errs = append(errs, fmt.Errorf("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT %w", err))
	}
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL": c.Protocol, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": c.TracesProtocol,
	} {
		if value != "" && value != "http/protobuf" {
			errs = append(errs, fmt.Errorf("%s: only http/protobuf is spoken", name))
		}
	}
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_TIMEOUT": c.Timeout, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": c.TracesTimeout,
	} {
		if ms, err := strconv.Atoi(value); value != "" && (err != nil || ms <= 0) {
			errs = append(errs, fmt.Errorf("%s: must be a number of milliseconds", name))
		}
	}
	if c.Exporter != "" && c.Exporter != "otlp" {
		errs = append(errs, errors.New("OTEL_TRACES_EXPORTER is neither otlp nor none"))
	}
	return errors.Join(errs...)
}

// Traces sends spans to a collector by OTLP over HTTP, in the background: a
// collector that is slow or away costs spans and never a job's time. The zero
// value and nil send nothing.
type Traces struct {
	processor sdktrace.SpanProcessor
	providers []*sdktrace.TracerProvider
}

// NewTraces makes no connection. Where traces are not configured it is nil.
func NewTraces(ctx context.Context, cfg TraceConfig) (*Traces, error) {
	if cfg.off() {
		return nil, nil
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	client, err := newOTLPClient(cfg)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("make trace exporter: %w", err)
	}
	quietly.Do()
	return &Traces{processor: sdktrace.NewBatchSpanProcessor(exporter)}, nil
}

// Service gives the provider of one service's spans, for WithTracer; nil where
// there are no traces. It is not safe for concurrent use. What has no parent
// is sampled as OTEL_TRACES_SAMPLER says (always by default); what has one, as
// the parent was (W3C Trace Context, 3.2.2.5).
func (t *Traces) Service(ctx context.Context, name string) (trace.TracerProvider, error) {
	if t == nil || t.processor == nil {
		return nil, nil
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "sweepline-"+name), attribute.String("service.namespace", "sweepline")),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describe service %s: %w", name, err)
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithSpanProcessor(t.processor), sdktrace.WithIDGenerator(ids{}))
	t.providers = append(t.providers, p)
	return p, nil
}

// Close sends what is left, for at most five seconds. It takes time from no
// context: the process' own has ended by then.
func (t *Traces) Close() error {
	if t == nil || t.processor == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.processor.Shutdown(ctx); err != nil {
		return fmt.Errorf("send last spans: %w", err)
	}
	return nil
}

type spanIDKey struct{}

// ids are random, but for a span whose id the context names.
type ids struct{}

// NewIDs begins a trace.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	var id trace.TraceID
	_, _ = rand.Read(id[:]) // never fails: crypto/rand aborts instead
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID names a span.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	id, ok := ctx.Value(spanIDKey{}).(trace.SpanID)
	if !ok {
		_, _ = rand.Read(id[:])
	}
	return id
}

// quietly makes the SDK's complaints lines of our log, at most one a minute: an
// outage of the collector fails every batch.
var quietly complaints

type complaints struct {
	set  atomic.Bool
	last atomic.Int64
}

// Do puts the handler in place once.
func (c *complaints) Do() {
	if !c.set.CompareAndSwap(false, true) {
		return
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		now := time.Now().Unix()
		last := c.last.Load()
		if now-last < 60 || !c.last.CompareAndSwap(last, now) {
			return
		}
		var u *url.Error // its text repeats the address
		if errors.As(err, &u) {
			err = u.Err
		}
		slog.Warn("exporting traces failed", "error", err)
	}))
}
