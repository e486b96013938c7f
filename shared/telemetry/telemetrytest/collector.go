// Package telemetrytest is a collector of OTLP traces over HTTP for tests: it
// decodes what the pipeline's processes send and answers questions about it.
package telemetrytest

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it was sent. Ids are hex; Parent is empty for a root.
type Span struct {
	Service, Name, TraceID, ID, Parent string
	Start, End                         time.Time
	Failed                             bool
	Strings                            map[string]string
	Ints                               map[string]int64
}

// Collector keeps all spans that it was sent.
type Collector struct {
	// URL is for OTEL_EXPORTER_OTLP_ENDPOINT.
	URL string

	mu    sync.Mutex
	spans []Span
}

// New starts a collector that ends with the test.
func New(t *testing.T) *Collector {
	t.Helper()
	c := &Collector{}
	srv := httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(srv.Close)
	c.URL = srv.URL
	return c
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	var sent collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range sent.GetResourceSpans() {
		service := ""
		for _, a := range of.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, in := range of.GetScopeSpans() {
			for _, s := range in.GetSpans() {
				c.spans = append(c.spans, read(service, s))
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func read(service string, s *otlp.Span) Span {
	out := Span{
		Service: service, Name: s.GetName(), TraceID: hex.EncodeToString(s.GetTraceId()),
		ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
		Start: time.Unix(0, int64(s.GetStartTimeUnixNano())), End: time.Unix(0, int64(s.GetEndTimeUnixNano())),
		Failed:  s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR,
		Strings: map[string]string{}, Ints: map[string]int64{},
	}
	for _, a := range s.GetAttributes() {
		out.Strings[a.GetKey()] = a.GetValue().GetStringValue()
		out.Ints[a.GetKey()] = a.GetValue().GetIntValue()
	}
	return out
}

// Trace is the spans of one trace.
type Trace struct {
	t     *testing.T
	Spans []Span
}

// All gives every span.
func (c *Collector) All() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Trace gives the spans of one trace; they may be none.
func (c *Collector) Trace(t *testing.T, id string) Trace {
	out := Trace{t: t}
	for _, s := range c.All() {
		if s.TraceID == id {
			out.Spans = append(out.Spans, s)
		}
	}
	return out
}

// Named gives the spans of that name.
func (tr Trace) Named(name string) []Span {
	var out []Span
	for _, s := range tr.Spans {
		if s.Name == name {
			out = append(out, s)
		}
	}
	return out
}

// One requires that there is one span of that name, by one of the parents if
// any are named.
func (tr Trace) One(name string, parents ...string) Span {
	tr.t.Helper()
	got := tr.Named(name)
	require.Len(tr.t, got, 1, "spans %q among:\n%s", name, tr)
	if len(parents) > 0 {
		require.Contains(tr.t, parents, tr.ParentOf(got[0]), "parent of %q in:\n%s", name, tr)
	}
	return got[0]
}

// ParentOf is the name of a span's parent, or "" where that is not in the trace.
func (tr Trace) ParentOf(s Span) string {
	for _, p := range tr.Spans {
		if p.ID == s.Parent {
			return p.Name
		}
	}
	return ""
}

// RequireWhole requires that all spans but those under outside (a caller's span
// id, or "") hang together, and that no id stands twice.
func (tr Trace) RequireWhole(outside string) {
	tr.t.Helper()
	seen := map[string]bool{}
	for _, s := range tr.Spans {
		require.False(tr.t, seen[s.ID], "%q twice in:\n%s", s.Name, tr)
		seen[s.ID] = true
		if s.Parent != outside {
			require.NotEmpty(tr.t, tr.ParentOf(s), "%q has no parent in:\n%s", s.Name, tr)
		}
		require.False(tr.t, s.End.Before(s.Start), s.Name)
	}
}

// String is a line for each span.
func (tr Trace) String() string {
	text := ""
	for _, s := range tr.Spans {
		text += s.Service + ": " + s.Name + " < " + tr.ParentOf(s) + " " + s.End.Sub(s.Start).String() + "\n"
	}
	return text
}
