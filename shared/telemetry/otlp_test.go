package telemetry_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/zixly/sweepline/shared/telemetry"
)

// upload sends one span to a collector that gives these answers, the last of them
// for ever, and returns the requests.
func upload(t *testing.T, cfg telemetry.TraceConfig, answers ...int) []*http.Request {
	t.Helper()
	var got []*http.Request
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		text, err := io.ReadAll(body)
		var req collectorpb.ExportTraceServiceRequest // the official type, which we do without
		if err != nil || proto.Unmarshal(text, &req) != nil || len(req.GetResourceSpans()) != 1 {
			t.Errorf("no batch of spans: %v", err)
		}
		got = append(got, r)
		w.WriteHeader(answers[min(len(got), len(answers))-1])
	}))
	defer collector.Close()
	cfg.Endpoint = collector.URL + "/base"
	traces, err := telemetry.NewTraces(t.Context(), cfg)
	require.NoError(t, err)
	p, err := traces.Service(t.Context(), "one")
	require.NoError(t, err)
	_, span := telemetry.Span(telemetry.WithTracer(t.Context(), p), "x", trace.SpanKindInternal)
	telemetry.End(span, nil)
	require.NoError(t, traces.Close())
	return got
}

func TestACollectorsRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers []int
		posts   int
	}{
		"taken":        {[]int{200}, 1},
		"away at once": {[]int{503, 429, 200}, 3},
		"never wanted": {[]int{400, 200}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Len(t, upload(t, telemetry.TraceConfig{}, c.answers...), c.posts)
		})
	}
}

func TestWhatTheEnvironmentAsksOfThePost(t *testing.T) {
	t.Parallel()
	got := upload(t, telemetry.TraceConfig{
		Compression: "gzip", Headers: "Authorization=Bearer%20a%2Cb, x-team=blue", TracesTimeout: "2000",
	}, http.StatusOK)
	require.Len(t, got, 1)
	require.Equal(t, "/base/v1/traces", got[0].URL.Path)
	require.Equal(t, "Bearer a,b", got[0].Header.Get("Authorization"))
	require.Equal(t, "blue", got[0].Header.Get("X-Team"))
	require.Equal(t, "application/x-protobuf", got[0].Header.Get("Content-Type"))
	require.Equal(t, "gzip", got[0].Header.Get("Content-Encoding"))
}
