package function_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	ce "knative.dev/func-go/cloudevents"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/seal"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
)

// eventFunc is a function made of its parts.
type eventFunc struct {
	handle func(context.Context, cloudevents.Event) (*cloudevents.Event, error)
	ready  func(context.Context) (bool, error)
	alive  func(context.Context) (bool, error)
}

func (f *eventFunc) Handle(ctx context.Context, e cloudevents.Event) (*cloudevents.Event, error) {
	return f.handle(ctx, e)
}
func (f *eventFunc) Ready(ctx context.Context) (bool, error) { return f.ready(ctx) }
func (f *eventFunc) Alive(ctx context.Context) (bool, error) { return f.alive(ctx) }

type httpFunc func(http.ResponseWriter, *http.Request)

func (f httpFunc) Handle(w http.ResponseWriter, r *http.Request) { f(w, r) }

// batchFunc answers each event by its id.
type batchFunc struct {
	got      []cloudevents.Event
	outcomes map[string]function.Outcome
}

func (f *batchFunc) Handle(context.Context, cloudevents.Event) (*cloudevents.Event, error) {
	return nil, errors.New("one by one")
}

func (f *batchFunc) HandleBatch(_ context.Context, es []cloudevents.Event) []function.Outcome {
	f.got = es
	out := make([]function.Outcome, len(es))
	for i, e := range es {
		out[i] = f.outcomes[e.ID()]
	}
	return out
}

func handler(t *testing.T, fn any) http.Handler {
	t.Helper()
	h, err := function.Handler("step", fn, prometheus.NewRegistry(), function.WithSeals(seal.Without()))
	require.NoError(t, err)
	return h
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func post(e cloudevents.Event) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
	out, err := cehttp.NewHTTPRequestFromEvent(context.Background(), "http://x/", e)
	if err != nil {
		panic(err)
	}
	r.Header, r.Body, r.ContentLength = out.Header, out.Body, out.ContentLength
	return r
}

// TestOutcomes holds our handler to func-go's: what a function says means the
// same under `func run` and here.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	reply := newEvent("a/reply")
	for _, c := range []struct {
		name  string
		reply *cloudevents.Event
		err   error
		want  int
	}{
		{"taken", nil, nil, http.StatusOK},
		{"taken with a reply", &reply, nil, http.StatusOK},
		{"plain error", nil, errors.New("redis is gone"), http.StatusInternalServerError},
		{"rejected", nil, cehttp.NewResult(http.StatusUnprocessableEntity, "no such ticker"), http.StatusUnprocessableEntity},
		{"later", nil, cehttp.NewResult(http.StatusServiceUnavailable, "busy"), http.StatusServiceUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fn := &eventFunc{handle: func(context.Context, cloudevents.Event) (*cloudevents.Event, error) { return c.reply, c.err }}
			ours, theirs := do(handler(t, fn), post(newEvent("a"))), do(ce.New(fn).Handler, post(newEvent("a")))
			require.Equal(t, c.want, ours.Code)
			require.Equal(t, theirs.Code, ours.Code)
			require.Equal(t, theirs.Header().Get("Ce-Id"), ours.Header().Get("Ce-Id"))
			if c.err != nil {
				require.Contains(t, ours.Body.String(), c.err.Error(), "the reason goes to the dead letter")
			}
			if c.reply != nil {
				require.Equal(t, theirs.Body.String(), ours.Body.String())
			}
		})
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	t.Parallel()
	fn := &eventFunc{handle: func(context.Context, cloudevents.Event) (*cloudevents.Event, error) {
		return nil, &sink.Unavailable{RetryAfter: 1500 * time.Millisecond, Err: errors.New("broker is full")}
	}}
	w := do(handler(t, fn), post(newEvent("a")))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
}

func TestWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	fn := &eventFunc{handle: func(context.Context, cloudevents.Event) (*cloudevents.Event, error) {
		panic("must not be called")
	}}
	h := handler(t, fn)
	request := func(contentType, body string, header ...string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
	structured := "application/cloudevents+json"
	for name, c := range map[string]struct {
		r    *http.Request
		want int
	}{
		"no event":      {request("application/json", "{}"), http.StatusUnsupportedMediaType},
		"broken":        {request(structured, "{"), http.StatusBadRequest},
		"incomplete":    {request(structured, `{"specversion":"1.0","id":"a"}`), http.StatusBadRequest},
		"half binary":   {request("application/json", "{}", "ce-specversion", "1.0", "ce-id", "a"), http.StatusBadRequest},
		"too large":     {request(structured, strings.Repeat(" ", 1<<20+1)), http.StatusRequestEntityTooLarge},
		"large binary":  {request("text/plain", strings.Repeat("x", 1<<20+1), "ce-specversion", "1.0", "ce-id", "a", "ce-type", "t", "ce-source", "s"), http.StatusRequestEntityTooLarge},
		"batch":         {request("application/cloudevents-batch+json", "[]"), http.StatusUnsupportedMediaType},
		"not posted":    {httptest.NewRequest(http.MethodGet, "/", http.NoBody), http.StatusMethodNotAllowed},
		"nested deeply": {request(structured, strings.Repeat("[", 1<<19)), http.StatusBadRequest},
	} {
		w := do(h, c.r)
		require.Equal(t, c.want, w.Code, name)
		var body struct {
			Error, Code string
			Timestamp   time.Time
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), name)
		require.NotEmpty(t, body.Code)
		require.False(t, body.Timestamp.IsZero())
	}
}

// TestEachCallHasItsOwnContext: the SDK's receiver hands messages to whichever
// goroutine waits, so that one request's end could cancel another's work.
func TestEachCallHasItsOwnContext(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}, 2), make(chan struct{})
	fn := &eventFunc{handle: func(ctx context.Context, e cloudevents.Event) (*cloudevents.Event, error) {
		entered <- struct{}{}
		if e.ID() == "short" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		<-release
		return nil, ctx.Err()
	}}
	h := handler(t, fn)
	long := make(chan int)
	go func() { long <- do(h, post(newEvent("long"))).Code }()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	short := make(chan int)
	go func() { short <- do(h, post(newEvent("short")).WithContext(ctx)).Code }()
	<-entered
	cancel()
	require.Equal(t, http.StatusInternalServerError, <-short)
	close(release)
	require.Equal(t, http.StatusOK, <-long)
}

func TestPanicIsABare500(t *testing.T) {
	t.Parallel()
	event := &eventFunc{handle: func(context.Context, cloudevents.Event) (*cloudevents.Event, error) { panic("hushhush") }}
	plain := httpFunc(func(http.ResponseWriter, *http.Request) { panic("hushhush") })
	for _, w := range []*httptest.ResponseRecorder{
		do(handler(t, event), post(newEvent("a"))),
		do(handler(t, plain), httptest.NewRequest(http.MethodGet, "/", http.NoBody)),
	} {
		require.Equal(t, http.StatusInternalServerError, w.Code)
		require.NotContains(t, w.Body.String(), "hushhush")
		require.NotContains(t, w.Body.String(), ".go:")
		require.Contains(t, w.Body.String(), `"code":"internal"`)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var redis, alive error
	fn := &eventFunc{
		ready: func(ctx context.Context) (bool, error) {
			return function.Check(ctx, map[string]func(context.Context) error{
				"redis":    func(context.Context) error { return redis },
				"postgres": func(context.Context) error { return nil },
			})
		},
		alive: func(context.Context) (bool, error) { return alive == nil, alive },
	}
	h := handler(t, fn)
	get := func(path string) *httptest.ResponseRecorder {
		return do(h, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	}
	for _, path := range []string{"/healthz", "/readyz", "/health/liveness", "/health/readiness"} {
		require.Equal(t, http.StatusOK, get(path).Code, path)
	}
	redis = errors.New("dial tcp 10.0.0.7:6379: refused")
	for _, path := range []string{"/readyz", "/health/readiness"} {
		w := get(path)
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Contains(t, w.Body.String(), "missing: redis")
		require.NotContains(t, w.Body.String(), "10.0.0.7")
	}
	require.Equal(t, http.StatusOK, get("/healthz").Code)
	alive = errors.New("worker died")
	require.Equal(t, http.StatusServiceUnavailable, get("/healthz").Code)
}

func TestCheckDoesNotWaitForever(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ready, err := function.Check(ctx, map[string]func(context.Context) error{
		"stuck": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	})
	require.False(t, ready)
	require.EqualError(t, err, "missing: stuck")
}

func TestMetricsAndTrace(t *testing.T) {
	t.Parallel()
	var traceID string
	reg := prometheus.NewRegistry()
	fn := httpFunc(func(w http.ResponseWriter, r *http.Request) {
		traceID = telemetry.TraceID(r.Context())
		function.WriteError(w, http.StatusTeapot, "teapot", "short and stout", job.Problem{Field: "f", Message: "m"})
	})
	h, err := function.Handler("step", fn, reg)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/x", http.NoBody)
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	w := do(h, r)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", traceID)
	require.Contains(t, w.Body.String(), `"details":[{"field":"f","message":"m"}]`)
	r = httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
	require.Equal(t, http.StatusNotFound, do(h, r).Code, "the function's own port may be public")
	text, err := io.ReadAll(do(function.Operations(fn, reg), r).Result().Body)
	require.NoError(t, err)
	require.Contains(t, string(text), `pipeline_function_requests_total{code="418",function="step"} 1`)
}

func TestHandlerRefusesWhatIsNoFunction(t *testing.T) {
	t.Parallel()
	_, err := function.Handler("step", struct{}{}, prometheus.NewRegistry())
	require.Error(t, err)
	_, err = function.Handler("step", &batchFunc{}, prometheus.NewRegistry())
	require.ErrorContains(t, err, "needs seals")
}
