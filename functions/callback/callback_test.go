package callback_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/callback"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/openapi/openapitest"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

type silent struct{}

func (silent) Job(context.Context, string) (trading.Job, error) {
	return trading.Job{}, errors.New("no API in this test")
}

type counter struct{ events []cloudevents.Event }

func (c *counter) Send(_ context.Context, events ...cloudevents.Event) error {
	c.events = append(c.events, events...)
	return nil
}

type bundle struct {
	t     *testing.T
	f     *callback.Function
	waits *wait.Waits
	sink  *counter
	reg   *prometheus.Registry
	jobID string
}

func setup(t *testing.T) *bundle {
	t.Helper()
	waits, err := wait.Open(t.Context(), wait.Config{RedisURL: servertest.Miniredis(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = waits.Close() })
	b := &bundle{t: t, waits: waits, sink: &counter{}, reg: prometheus.NewRegistry(), jobID: job.NewID()}
	b.f, err = callback.New(callback.Config{Secret: "the new secret of tests", OldSecret: "the old secret of tests"}, waits, silent{}, b.sink, b.reg)
	require.NoError(t, err)
	_, err = waits.Accept(t.Context(), job.Header{JobID: b.jobID, TenantID: "a", JobType: job.Type}, "f")
	require.NoError(t, err)
	return b
}

const done = `{"job_id":"t-1","status":"completed","sweep_run_id":"run-1"}`

func (b *bundle) request(change func(*http.Request)) *httptest.ResponseRecorder {
	u, err := trading.CallbackURL("http://x", b.jobID, trading.Token("the new secret of tests", b.jobID))
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest(http.MethodPost, u, strings.NewReader(done))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	change(r)
	w := httptest.NewRecorder()
	openapitest.Wrap(b.t, http.HandlerFunc(b.f.Handle)).ServeHTTP(w, r)
	return w
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	body := func(text string) func(*http.Request) {
		return func(r *http.Request) { *r = *withBody(r, text) }
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
		code   string
	}{
		"other path":   {func(r *http.Request) { r.URL.Path = "/webhook/other" }, 404, "not_found"},
		"other method": {func(r *http.Request) { r.Method = http.MethodGet }, 405, "method_not_allowed"},
		"no token":     {func(r *http.Request) { r.URL.RawQuery = "job=" + r.URL.Query().Get("job") }, 401, "unauthorized"},
		"forged token": {func(r *http.Request) { r.URL.RawQuery += "A" }, 401, "unauthorized"},
		"token of another": {func(r *http.Request) {
			setQuery(r, r.URL.Query().Get("job"), trading.Token("the new secret of tests", job.NewID()))
		}, 401, "unauthorized"},
		"no job": {func(r *http.Request) { setQuery(r, "", trading.Token("the new secret of tests", "")) }, 401, "unauthorized"},
		"unknown job": {func(r *http.Request) {
			id := job.NewID()
			setQuery(r, id, trading.Token("the new secret of tests", id))
		}, 404, "not_found"},
		"no job id":           {func(r *http.Request) { setQuery(r, "../x", trading.Token("the new secret of tests", "../x")) }, 404, "not_found"},
		"no content type":     {func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "unsupported_media_type"},
		"other content type":  {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, "unsupported_media_type"},
		"latin":               {func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=latin1") }, 415, "unsupported_media_type"},
		"compressed":          {func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, "unsupported_media_type"},
		"too large":           {body(`{"x":"` + strings.Repeat("a", trading.MaxCallback) + `"}`), 413, "payload_too_large"},
		"no JSON":             {body(`status=completed`), 400, "invalid_payload"},
		"no callback":         {body(`{}`), 400, "invalid_payload"},
		"sweep still running": {body(`{"job_id":"t-1","status":"running"}`), 400, "invalid_payload"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			w := b.request(c.change)
			require.Equal(t, c.status, w.Code, w.Body)
			var answer struct {
				Error, Code, Timestamp string
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			require.Equal(t, c.code, answer.Code)
			require.NotEmpty(t, answer.Error)
			require.NotEmpty(t, answer.Timestamp)
			require.Equal(t, c.status == 405, w.Header().Get("Allow") == "POST")
			require.Empty(t, b.sink.events)
			r, err := b.waits.Get(t.Context(), b.jobID)
			require.NoError(t, err)
			require.Equal(t, wait.Accepted, r.State)
		})
	}
}

func withBody(r *http.Request, text string) *http.Request {
	out := httptest.NewRequest(r.Method, r.URL.String(), strings.NewReader(text))
	out.Header = r.Header
	return out
}

func setQuery(r *http.Request, id, token string) {
	q := r.URL.Query()
	q.Set("job", id)
	q.Set("token", token)
	r.URL.RawQuery = q.Encode()
}

// Proxies and clients write the same request in several ways.
func TestWaysOfWritingACallback(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"slash":       func(r *http.Request) { r.URL.Path += "/" },
		"not encoded": func(r *http.Request) { r.Header.Set("Content-Encoding", "Identity") },
		"utf8":        func(r *http.Request) { r.Header.Set("Content-Type", `Application/JSON; Charset="utf8"`) },
	} {
		w := setup(t).request(change)
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", name, w.Body)
	}
}

func TestTokensThatAreTaken(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*bundle, *http.Request){
		"query": func(*bundle, *http.Request) {},
		"old secret": func(b *bundle, r *http.Request) {
			setQuery(r, b.jobID, trading.Token("the old secret of tests", b.jobID))
		},
		"bearer only":   func(b *bundle, r *http.Request) { setQuery(r, b.jobID, ""); bearer(b, r) },
		"bearer counts": func(b *bundle, r *http.Request) { setQuery(r, b.jobID, "cut-off"); bearer(b, r) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			for range 2 {
				w := b.request(func(r *http.Request) { change(b, r) })
				require.Equal(t, http.StatusOK, w.Code, w.Body)
				require.Contains(t, w.Body.String(), `"message"`)
			}
			require.Len(t, b.sink.events, 1)
			metrics := httptest.NewRecorder()
			promhttp.HandlerFor(b.reg, promhttp.HandlerOpts{}).ServeHTTP(metrics, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
			require.Contains(t, metrics.Body.String(), `pipeline_callbacks_total{outcome="completed"} 1`)
			require.Contains(t, metrics.Body.String(), `pipeline_callbacks_total{outcome="duplicate"} 1`)
			require.Contains(t, metrics.Body.String(), `pipeline_callbacks_total{outcome="unknown"} 0`)
		})
	}
}

func bearer(b *bundle, r *http.Request) {
	for name, value := range trading.CallbackHeaders(trading.Token("the new secret of tests", b.jobID)) {
		r.Header.Set(name, value)
	}
}

func TestRedisDown(t *testing.T) {
	t.Parallel()
	waits, err := wait.Open(t.Context(), wait.Config{RedisURL: "redis://127.0.0.1:1"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = waits.Close() })
	f, err := callback.New(callback.Config{Secret: "the new secret of tests"}, waits, silent{}, &counter{}, prometheus.NewRegistry())
	require.NoError(t, err)
	b := &bundle{t: t, f: f, jobID: job.NewID()}
	w := b.request(func(*http.Request) {})
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	ok, err := f.Ready(t.Context())
	require.False(t, ok)
	require.ErrorContains(t, err, "redis")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := callback.New(callback.Config{}, setup(t).waits, silent{}, &counter{}, prometheus.NewRegistry())
	require.ErrorContains(t, err, "CALLBACK_SECRET")
	for name, cfg := range map[string]callback.Config{
		"CALLBACK_SECRET is too short":     {Secret: "x"},
		"CALLBACK_SECRET_OLD is too short": {Secret: "the new secret of tests", OldSecret: "change-me"},
	} {
		_, err = callback.New(cfg, setup(t).waits, silent{}, &counter{}, prometheus.NewRegistry())
		require.ErrorContains(t, err, name)
	}
	_, err = callback.New(callback.Config{Secret: "the new secret of tests"}, nil, silent{}, &counter{}, prometheus.NewRegistry())
	require.Error(t, err)
}

// TestTakenThoughNobodyWaits: the API hangs up once it has told all. It does not
// call again.
func TestTakenThoughNobodyWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.request(func(r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		*r = *r.WithContext(ctx)
	})
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Len(t, b.sink.events, 1)
	r, err := b.waits.Get(t.Context(), b.jobID)
	require.NoError(t, err)
	require.Equal(t, wait.Completed, r.State)
}

// TestAWholeOutput: the older dialect sends all that the sweep has printed.
func TestAWholeOutput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	output := strings.Repeat("combination\\n", 60_000) + "sweep_run_id: 0b0e4e7e-5d4c-4e0e-9d57-0d8d6f6a7a11"
	w := b.request(func(r *http.Request) {
		*r = *withBody(r, `{"job_id":"t-1","status":"completed","result_data":{"output":"`+output+`"}}`)
	})
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	r, err := b.waits.Get(t.Context(), b.jobID)
	require.NoError(t, err)
	require.Equal(t, "0b0e4e7e-5d4c-4e0e-9d57-0d8d6f6a7a11", r.SweepRunID)
}
