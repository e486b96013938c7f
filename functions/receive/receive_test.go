package receive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/receive"
	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/auth/authtest"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/quota"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

const (
	path  = "/webhook/trading-sweep"
	valid = `{"ticker":"DAX","fast_range":[10,50],"slow_range":[20,200],"step":5}`
	trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)

// desk takes jobs in as enqueue does, in memory.
type desk struct {
	mu     sync.Mutex
	asked  []enqueue.Request
	traces []string
	err    error
	replay bool
	// partly: all of a group but the first was there.
	partly bool
}

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (d *desk) Enqueue(ctx context.Context, r enqueue.Request) (enqueue.Accepted, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, r)
	d.traces = append(d.traces, telemetry.TraceID(ctx))
	if d.err != nil {
		return enqueue.Accepted{}, d.err
	}
	return enqueue.Accepted{Replayed: d.replay, Header: job.Header{
		JobID: job.DeriveID(r.Tenant, r.Key, created), TenantID: r.Tenant, JobType: job.Type, Parameters: r.Sweep,
		CreatedAt: created,
	}}, nil
}

func (d *desk) EnqueueGroup(ctx context.Context, r enqueue.Request, tickers []string) (all []enqueue.Accepted, err error) {
	for _, ticker := range tickers {
		r.Sweep.Ticker = ticker
		a, err := d.Enqueue(ctx, r)
		if err != nil {
			return nil, err
		}
		a.Header.GroupID = a.Header.JobID
		if len(all) > 0 {
			a.Header.GroupID = all[0].Header.JobID
			a.Header.JobID = job.MemberID(a.Header.GroupID, ticker)
			a.Replayed = d.replay || d.partly
		}
		all = append(all, a)
	}
	return all, nil
}

func setup(t *testing.T, keys string) (*desk, http.Handler) {
	t.Helper()
	d := &desk{}
	k, err := auth.New(auth.Config{Keys: authtest.Hashed(keys)})
	require.NoError(t, err)
	return d, serve(t, receive.Config{BaseURL: "https://hooks.example/"}, d, k)
}

func serve(t *testing.T, cfg receive.Config, d *desk, k *auth.Keys) http.Handler {
	t.Helper()
	f, err := receive.New(cfg, d, k, nil)
	require.NoError(t, err)
	h, err := function.Handler("receive", f, prometheus.NewRegistry())
	require.NoError(t, err)
	return documented(t, h)
}

func request(body string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
		if header[i] == "Content-Type" {
			r.Header["Content-Type"] = []string{header[i+1]}
		}
	}
	return r
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	d, h := setup(t, "")
	w := do(h, request(valid, "Idempotency-Key", "k1", "traceparent", trace))
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	id := job.DeriveID("default", "k1", created)
	require.Equal(t, "/webhook/jobs/"+id, w.Header().Get("Location"))
	require.Empty(t, w.Header().Get("Idempotency-Replayed"))
	var body map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	require.NotEmpty(t, body["message"])
	delete(body, "message")
	require.Equal(t, map[string]any{
		"job_id": id, "status": "QUEUED", "created_at": "2026-01-02T03:04:05.000Z",
		"webhook_url": "https://hooks.example/webhook/sweep-callback",
		"status_url":  "https://hooks.example/webhook/jobs/" + id, "stream_url": "https://hooks.example/api/jobs/" + id + "/stream",
		"dashboard_url": "https://hooks.example/jobs/" + id,
	}, body)
	require.Equal(t, "DAX", d.asked[0].Sweep.Ticker)
	require.Equal(t, "default", d.asked[0].Tenant)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", d.traces[0])

	d.replay = true
	w = do(h, request(valid, "Idempotency-Key", "k1"))
	require.Equal(t, http.StatusAccepted, w.Code)
	require.Equal(t, "true", w.Header().Get("Idempotency-Replayed"))
	require.Len(t, d.traces[1], 32, "a trace is begun where none is given")
}

// An address to call is taken where the installation allows its host, and refused where it
// allows none.
func TestNotifyURL(t *testing.T) {
	t.Parallel()
	body := func(address string) string { return strings.Replace(valid, `{`, `{"notify_url":"`+address+`",`, 1) }
	d, h := setup(t, "")
	w := do(h, request(body("https://hooks.example.com/a")))
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), `"details":[{"field":"notify_url","message":"is not enabled on this installation"}]`)
	require.Equal(t, http.StatusAccepted, do(h, request(valid)).Code)

	k, err := auth.New(auth.Config{Keys: authtest.Hashed("")})
	require.NoError(t, err)
	cfg := receive.Config{BaseURL: "https://hooks.example/"}
	cfg.Hosts = []string{"hooks.example.com", "127.0.0.1"}
	h = serve(t, cfg, d, k)
	for address, message := range map[string]string{
		"https://evil.example/": "must name a host that this installation allows", "https://169.254.169.254/": "must name a host that this installation allows",
		"http://hooks.example.com/": job.NotifyURLRule, "x": job.NotifyURLRule,
	} {
		w := do(h, request(body(address)))
		require.Equal(t, http.StatusBadRequest, w.Code, address)
		require.Contains(t, w.Body.String(), `"details":[{"field":"notify_url","message":"`+message+`"}]`)
	}
	require.Len(t, d.asked, 1)
	require.Equal(t, http.StatusAccepted, do(h, request(body("http://127.0.0.1:8080/a"))).Code)
	group := strings.Replace(body("https://hooks.example.com/a"), `"ticker":"DAX"`, `"tickers":["DAX","SMI"]`, 1)
	require.Equal(t, http.StatusAccepted, do(h, request(group)).Code)
	require.Equal(t, []string{"", "http://127.0.0.1:8080/a", "https://hooks.example.com/a", "https://hooks.example.com/a"},
		[]string{d.asked[0].NotifyURL, d.asked[1].NotifyURL, d.asked[2].NotifyURL, d.asked[3].NotifyURL})

	cfg.Hosts = []string{"https://x"}
	_, err = receive.New(cfg, d, k, nil)
	require.ErrorContains(t, err, "NOTIFY_URL_HOSTS")
}

func TestLabelsAndGroups(t *testing.T) {
	t.Parallel()
	d, h := setup(t, "")
	w := do(h, request(strings.Replace(valid, `{`, `{"labels":["weekly","desk=eu"],`, 1)))
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.Equal(t, []string{"desk=eu", "weekly"}, d.asked[0].Labels)

	group := strings.Replace(valid, `"ticker":"DAX"`, `"tickers":["DAX","SMI"],"labels":["weekly"]`, 1)
	w = do(h, request(group, "Idempotency-Key", "k1"))
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	id := job.DeriveID("default", "k1", created)
	second := job.MemberID(id, "SMI")
	require.Equal(t, "/api/jobs?group="+id, w.Header().Get("Location"))
	require.Empty(t, w.Header().Get("Idempotency-Replayed"))
	addresses := func(id, ticker string) string {
		return `{"job_id":"` + id + `","ticker":"` + ticker + `","status_url":"https://hooks.example/webhook/jobs/` + id +
			`","stream_url":"https://hooks.example/api/jobs/` + id + `/stream","dashboard_url":"https://hooks.example/jobs/` + id + `"}`
	}
	require.JSONEq(t, `{"group_id":"`+id+`","status":"QUEUED","message":"2 sweeps are queued","created_at":"2026-01-02T03:04:05.000Z",
		"status_url":"https://hooks.example/api/jobs?group=`+id+`","dashboard_url":"https://hooks.example/?group=`+id+`",
		"jobs":[`+addresses(id, "DAX")+`,`+addresses(second, "SMI")+`]}`, w.Body.String())
	require.Equal(t, []string{"DAX", "SMI"}, []string{d.asked[1].Sweep.Ticker, d.asked[2].Sweep.Ticker})
	require.Equal(t, []string{"weekly"}, d.asked[2].Labels)

	d.partly = true
	require.Empty(t, do(h, request(group)).Header().Get("Idempotency-Replayed"), "some of it is new")
	d.replay = true
	require.Equal(t, "true", do(h, request(group)).Header().Get("Idempotency-Replayed"))
	d.err = enqueue.ErrConflict
	require.Equal(t, http.StatusUnprocessableEntity, do(h, request(group)).Code)
	d.err = &quota.Exceeded{What: "open jobs", Limit: 1, RetryAfter: time.Second}
	require.Equal(t, http.StatusTooManyRequests, do(h, request(group)).Code)
}

// Clients may be served elsewhere than the trading API is.
func TestAddressesOfAJob(t *testing.T) {
	t.Parallel()
	k, err := auth.New(auth.Config{})
	require.NoError(t, err)
	f, err := receive.New(receive.Config{BaseURL: "https://hooks.example", PublicURL: "https://sweeps.example/quant/"}, &desk{}, k, nil)
	require.NoError(t, err)
	w := do(documented(t, http.HandlerFunc(f.Handle)), request(valid))
	var body map[string]string
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	require.Equal(t, "https://sweeps.example/quant/webhook/jobs/"+body["job_id"], body["status_url"])
	require.Equal(t, "https://sweeps.example/quant/api/jobs/"+body["job_id"]+"/stream", body["stream_url"])
	require.Equal(t, "https://sweeps.example/quant/jobs/"+body["job_id"], body["dashboard_url"])
	require.Equal(t, "https://hooks.example/webhook/sweep-callback", body["webhook_url"])
	for _, bad := range []string{"hushhush", "ftp://x", "/quant", "https://x/?hushhush", "https://x/#hushhush"} {
		_, err = receive.New(receive.Config{BaseURL: "https://x", PublicURL: bad}, &desk{}, k, nil)
		require.ErrorContains(t, err, "PUBLIC_URL")
		require.NotContains(t, err.Error(), "hushhush")
	}
}

func event(data string) string {
	return `{"specversion":"1.0","id":"7","source":"/client","type":"any.thing","datacontenttype":"application/json","traceparent":"` + trace + `","data":` + data + `}`
}

func TestForms(t *testing.T) {
	t.Parallel()
	d, h := setup(t, "")
	binary := []string{"ce-specversion", "1.0", "ce-id", "7", "ce-source", "/client", "ce-type", "any.thing", "ce-traceparent", trace}
	for name, r := range map[string]*http.Request{
		"structured": request(event(valid), "Content-Type", "application/cloudevents+json; charset=UTF-8"),
		"binary":     request(valid, binary...),
	} {
		w := do(h, r)
		require.Equal(t, http.StatusAccepted, w.Code, "%s: %s", name, w.Body)
	}
	require.Equal(t, d.asked[0], d.asked[1], "the same event in both modes is the same request")
	require.NotEmpty(t, d.asked[0].Key, "source and id make it repeatable")
	require.Equal(t, []string{"0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd8448eb211c80319c"}, d.traces)

	require.Equal(t, http.StatusAccepted, do(h, request(valid)).Code)
	require.Empty(t, d.asked[2].Key)
	require.Equal(t, http.StatusAccepted, do(h, request(valid, "Content-Type", "application/json; charset=utf8")).Code)
	require.Equal(t, http.StatusAccepted, do(h, request(valid, "Content-Encoding", "Identity")).Code)
	// An event's time is of RFC 3339, no more and no less, in both modes.
	for text, want := range map[string]int{
		"2026-01-02T03:04:05Z": 202, "1990-12-31T23:59:60Z": 202, "2018-04-05t17:31:00z": 202, "2018-04-05T17:31:00,5Z": 400, "2018-04-05T17:31:00+24:00": 400, "now": 400,
	} {
		timed := strings.Replace(event(valid), `"id"`, `"time":"`+text+`","id"`, 1)
		require.Equal(t, want, do(h, request(timed, "Content-Type", "application/cloudevents+json")).Code, text)
		require.Equal(t, want, do(h, request(valid, append(binary, "ce-time", text)...)).Code, text)
	}
	slash := request(valid)
	slash.URL.Path += "/"
	require.Equal(t, http.StatusAccepted, do(h, slash).Code, "as some proxies append it")
}

func TestKeys(t *testing.T) {
	t.Parallel()
	d, h := setup(t, "")
	key := func(header ...string) string {
		w := do(h, request(valid, header...))
		require.Equal(t, http.StatusAccepted, w.Code, w.Body)
		return d.asked[len(d.asked)-1].Key
	}
	require.Equal(t, "abc", key("Idempotency-Key", "abc"))
	require.Equal(t, "abc", key("Idempotency-Key", `"abc"`), "a structured-field string")
	require.Equal(t, "abc", key("Idempotency-Key", "abc", "webhook-id", "msg_1"))
	require.NotEqual(t, "abc", key("webhook-id", "abc"), "two senders' keys are kept apart")
	structured := request(event(valid), "Content-Type", "application/cloudevents+json", "Idempotency-Key", "mine")
	require.Equal(t, http.StatusAccepted, do(h, structured).Code)
	require.Equal(t, "mine", d.asked[len(d.asked)-1].Key, "a header wins over the event")
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	json65, json64 := valid+strings.Repeat(" ", 64<<10+1-len(valid)), valid+strings.Repeat(" ", 64<<10-len(valid))
	unsized := request(json65)
	unsized.Body, unsized.ContentLength = io.NopCloser(strings.NewReader(json65)), -1
	structured := []string{"Content-Type", "application/cloudevents+json"}
	for _, c := range []struct {
		name string
		r    *http.Request
		want int
		code string
	}{
		{"no JSON", request(`{`), 400, "invalid_payload"},
		{"empty", request(``), 400, "invalid_payload"},
		{"array", request(`[]`), 400, "invalid_payload"},
		{"null", request(`null`), 400, "invalid_payload"},
		{"NaN", request(`{"ticker":"DAX","step":NaN}`), 400, "invalid_payload"},
		{"huge number", request(strings.Replace(valid, `"step":5`, `"step":1e999`, 1)), 400, "invalid_payload"},
		{"twice", request(strings.Replace(valid, `"step":5`, `"step":5,"step":6`, 1)), 400, "invalid_payload"},
		{"trailing", request(valid + valid), 400, "invalid_payload"},
		{"deep", request(strings.Repeat("[", 60000)), 400, "invalid_payload"},
		{"deep within", request(`{"ticker":` + strings.Repeat(`{"a":`, 10000)), 400, "invalid_payload"},
		{"not UTF-8", request("{\"ticker\":\"\xff\xfe\"}"), 400, "invalid_payload"},
		{"64 KiB", request(json64), 202, ""},
		{"65 KiB", request(json65), 413, "payload_too_large"},
		{"65 KiB, length unsaid", unsized, 413, "payload_too_large"},
		{"text", request(valid, "Content-Type", "text/plain"), 415, "unsupported_media_type"},
		{"no type", request(valid, "Content-Type", ""), 415, "unsupported_media_type"},
		{"form", request(valid, "Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported_media_type"},
		{"latin", request(valid, "Content-Type", "application/json; charset=latin1"), 415, "unsupported_media_type"},
		{"gzip", request(valid, "Content-Encoding", "gzip"), 415, "unsupported_media_type"},
		{"batch", request("["+event(valid)+"]", "Content-Type", "application/cloudevents-batch+json"), 415, "unsupported_media_type"},
		{"event without data", request(`{"specversion":"1.0","id":"7","source":"/c","type":"t"}`, structured...), 400, "invalid_payload"},
		{"event without id", request(`{"specversion":"1.0","source":"/c","type":"t","data":`+valid+`}`, structured...), 400, "invalid_payload"},
		{"event of old", request(strings.Replace(event(valid), "1.0", "0.3", 1), structured...), 400, "invalid_payload"},
		{"event of XML", request(strings.Replace(event(`"<a/>"`), "application/json", "text/xml", 1), structured...), 400, "invalid_payload"},
		{"event twice within", request(event(strings.Replace(valid, `"step":5`, `"step":5,"step":6`, 1)), structured...), 400, "invalid_payload"},
		{"broken event", request(`{"specversion":`, structured...), 400, "invalid_payload"},
		{"deep event", request(event(strings.Repeat("[", 60000)), structured...), 400, "invalid_payload"},
		{"endless source", request(strings.Replace(event(valid), "/client", "/"+strings.Repeat("x", 3000), 1), structured...), 400, "invalid_payload"},
		{"half an event", request(valid, "ce-id", "7"), 400, "invalid_payload"},
		{"empty key", request(valid, "Idempotency-Key", ""), 400, "invalid_payload"},
		{"quoted empty key", request(valid, "Idempotency-Key", `""`), 400, "invalid_payload"},
		{"long key", request(valid, "Idempotency-Key", strings.Repeat("k", 256)), 400, "invalid_payload"},
		{"strange key", request(valid, "Idempotency-Key", "ключ"), 400, "invalid_payload"},
		{"two keys", request(valid, "Idempotency-Key", "a", "Idempotency-Key", "b"), 400, "invalid_payload"},
		{"strange webhook-id", request(valid, "webhook-id", "a\tb"), 400, "invalid_payload"},
		{"GET", httptest.NewRequest(http.MethodGet, path, http.NoBody), 405, "method_not_allowed"},
		{"elsewhere", httptest.NewRequest(http.MethodPost, path+"/x", http.NoBody), 404, "not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, h := setup(t, "")
			w := do(h, c.r)
			require.Equal(t, c.want, w.Code, w.Body)
			if c.code == "" {
				return
			}
			require.Empty(t, d.asked)
			var body struct{ Error, Code string }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
			require.Equal(t, c.code, body.Code)
			require.NotEmpty(t, body.Error)
			if c.want == 405 {
				require.Equal(t, "POST", w.Header().Get("Allow"))
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, h := setup(t, "")
	r := request(`{"ticker":"D","fast_range":[50,10],"step":99,"labels":["a b"],"surprise":1}`, "Idempotency-Key", "")
	r.URL.RawQuery = "dry_run=true"
	w := do(h, r)
	require.Equal(t, http.StatusBadRequest, w.Code)
	var body struct{ Details []job.Problem }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	var fields []string
	for _, d := range body.Details {
		fields = append(fields, d.Field)
	}
	require.ElementsMatch(t, []string{"Idempotency-Key", "dry_run", "fast_range", "labels", "slow_range", "step", "surprise", "ticker"}, fields)
}

type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestNothingIsReadInVain(t *testing.T) {
	t.Parallel()
	_, h := setup(t, "acme:key")
	for want, r := range map[int]*http.Request{
		401: request(""),
		413: request("", "X-API-Key", "key"),
		415: request("", "X-API-Key", "key", "Content-Type", "image/png"),
		405: httptest.NewRequest(http.MethodPut, path, http.NoBody),
	} {
		r.Body, r.ContentLength = io.NopCloser(untouched{t}), 10<<20
		require.Equal(t, want, do(h, r).Code)
	}
}

func TestTenants(t *testing.T) {
	t.Parallel()
	d, h := setup(t, "acme:one,globex:two")
	require.Equal(t, 401, do(h, request(valid, "X-API-Key", "three")).Code)
	require.Equal(t, 202, do(h, request(valid, "X-API-Key", "one")).Code)
	require.Equal(t, 202, do(h, request(valid, "Authorization", "Bearer two")).Code)
	require.Equal(t, "acme", d.asked[0].Tenant)
	require.Equal(t, "globex", d.asked[1].Tenant)
}

func TestTroubleBehind(t *testing.T) {
	t.Parallel()
	d, h := setup(t, "")
	for _, c := range []struct {
		err   error
		want  int
		after string
	}{
		{enqueue.ErrConflict, 422, ""},
		{errors.New("redis is gone"), 503, "1"},
		{fmt.Errorf("send: %w", &sink.Unavailable{Status: 503, RetryAfter: 9 * time.Second, Err: errors.New("full")}), 503, "9"},
		{&sink.Unavailable{Status: 429, RetryAfter: 2 * time.Second, Err: errors.New("slow down")}, 429, "2"},
		{&sink.Refused{Status: 404}, 503, "1"},
	} {
		d.err = c.err
		w := do(h, request(valid))
		require.Equal(t, c.want, w.Code)
		require.Equal(t, c.after, w.Header().Get("Retry-After"))
		require.NotContains(t, w.Body.String(), "redis")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	keys, err := auth.New(auth.Config{})
	require.NoError(t, err)
	_, err = receive.New(receive.Config{BaseURL: "https://x"}, nil, keys, nil)
	require.Error(t, err)
	_, err = receive.New(receive.Config{BaseURL: "https://x"}, &desk{}, nil, nil)
	require.Error(t, err)
	_, err = receive.New(receive.Config{BaseURL: "hushhush"}, &desk{}, keys, nil)
	require.ErrorContains(t, err, "WEBHOOK_BASE_URL")
	require.NotContains(t, err.Error(), "hushhush")
	_, err = receive.New(receive.Config{BaseURL: "https://x/?hushhush", PublicURL: "https://x"}, &desk{}, keys, nil)
	require.ErrorContains(t, err, "WEBHOOK_BASE_URL")
}

// TestLogLine is not parallel: the process has one default logger.
func TestLogLine(t *testing.T) { //nolint:paralleltest // see above
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(telemetry.NewLogger(&out, slog.LevelInfo))
	defer slog.SetDefault(before)
	_, h := setup(t, "acme:hushhush")
	require.Equal(t, 202, do(h, request(valid, "X-API-Key", "hushhush", "traceparent", trace)).Code)
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line), out.String())
	require.Equal(t, "Job queued", line["msg"])
	require.Equal(t, "receive", line["step"])
	require.Equal(t, "acme", line["tenant_id"])
	require.Equal(t, "trading-sweep", line["job_type"])
	require.Equal(t, "DAX", line["ticker"])
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", line["trace_id"])
	require.NotContains(t, out.String(), "hushhush")
}

func FuzzHandle(f *testing.F) {
	f.Add([]byte(valid), "application/json", "", "")
	f.Add([]byte(event(valid)), "application/cloudevents+json", "key", "")
	f.Add([]byte(valid), "application/json", "", "1.0")
	f.Add([]byte(`{"data_base64":"////"}`), "application/cloudevents+json", "", "")
	f.Fuzz(func(t *testing.T, body []byte, contentType, key, spec string) {
		_, h := setup(t, "")
		r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		if spec != "" {
			r.Header.Set("Ce-Specversion", spec)
			r.Header.Set("Ce-Id", key)
			r.Header.Set("Ce-Source", "/s")
			r.Header.Set("Ce-Type", "t")
		}
		require.Less(t, do(h, r).Code, 500)
	})
}

func TestATenantWithAllItsJobsOpen(t *testing.T) {
	t.Parallel()
	d := &desk{err: &quota.Exceeded{What: "open jobs", Limit: 7, RetryAfter: 30 * time.Second}}
	k, err := auth.New(auth.Config{Keys: authtest.Hashed("acme:one,globex:two"), OpenJobs: 7})
	require.NoError(t, err)
	f, err := receive.New(receive.Config{BaseURL: "https://hooks.example/"}, d, k, nil)
	require.NoError(t, err)
	w := do(documented(t, http.HandlerFunc(f.Handle)), request(valid, "X-API-Key", "one"))
	require.Equal(t, 429, w.Code)
	require.Equal(t, wait.Shares{MostQueued: 7, Tenants: 2}, d.asked[0].Shares)
	for name, want := range map[string]string{"Retry-After": "30", "RateLimit-Limit": "7", "RateLimit-Remaining": "0", "RateLimit-Reset": "30"} {
		require.Equal(t, want, w.Header().Get(name), name)
	}
	require.Contains(t, w.Body.String(), `"code":"too_many_requests"`)
}
