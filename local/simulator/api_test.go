package simulator_test

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/simulator"
)

func TestSweepOfAnHour(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	id := b.submit(object{"webhook_headers": object{"Authorization": "Bearer x"}})
	b.running(1)
	require.EqualValues(t, 0, b.job(id)["progress"])
	b.clock.Advance(24 * time.Minute)
	j := b.job(id)
	require.EqualValues(t, 40, j["progress"])
	require.Equal(t, "running", j["status"])
	require.Nil(t, j["result_data"])
	require.NotContains(t, j["parameters"], "webhook_headers")
	b.clock.Advance(36*time.Minute - 1)
	require.EqualValues(t, 99, b.job(id)["progress"])
	require.Empty(t, b.hooks)
	b.clock.Advance(1)
	b.idle()

	j = b.job(id)
	require.Equal(t, "completed", j["status"])
	require.EqualValues(t, 100, j["progress"])
	require.Equal(t, "2025-01-27T11:00:00Z", j["completed_at"])
	h := <-b.hooks
	require.Equal(t, "Bearer x", h.header.Get("Authorization"))
	require.Equal(t, "sweep.completed", h.body["event_type"])
	require.Equal(t, id, h.body["job_id"])

	run := h.body["sweep_run_id"].(string)
	require.Equal(t, run, j["result_data"].(object)["sweep_run_id"])
	best := b.get("/api/v1/sweeps/" + run + "/best?ticker=DAX")
	require.EqualValues(t, 10, best["total_results"])
	require.Equal(t, false, best["synthetic"])
	require.Empty(t, b.get("/api/v1/sweeps/" + run + "/best?ticker=SMI")["results"])

	page := b.get("/api/v1/sweeps/" + run + "?limit=4&offset=8")
	require.EqualValues(t, 10, page["total_count"])
	require.EqualValues(t, 2, page["returned_count"])
	require.Len(t, page["results"], 2)
	require.Equal(t, best["results"].([]any)[8:], page["results"])
	require.Empty(t, b.get("/api/v1/sweeps/" + run + "?offset=10")["results"])
	for _, query := range []string{"limit=0", "limit=501", "limit=x", "offset=-1"} {
		status, body, _ := b.do("GET", "/api/v1/sweeps/"+run+"?"+query, "", "")
		require.Equal(t, 422, status)
		require.Equal(t, "VALIDATION_ERROR", body["code"])
	}
}

func TestLimitOfConcurrentSweeps(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *simulator.Config) { c.MaxConcurrent = 2 })
	var ids []string
	for range 5 {
		ids = append(ids, b.submit(nil))
	}
	b.running(2)
	states := func() (out []string) {
		for _, id := range ids {
			out = append(out, b.job(id)["status"].(string))
		}
		return out
	}
	require.Equal(t, strings.Fields("running running pending pending pending"), states())
	// A pending one is cancelled, a running one makes room.
	status, _, _ := b.do("DELETE", "/api/v1/jobs/"+ids[2], "", "")
	require.Equal(t, 200, status)
	status, _, _ = b.do("DELETE", "/api/v1/jobs/"+ids[0], "", "")
	require.Equal(t, 200, status)
	require.Equal(t, strings.Fields("cancelled running cancelled running pending"), states())
	b.running(2)
	b.clock.Advance(time.Hour)
	b.ended(4)
	b.running(1)
	b.clock.Advance(time.Hour)
	b.idle()
	require.Equal(t, strings.Fields("cancelled completed cancelled completed completed"), states())
	require.Len(t, b.hooks, 3, "the event dialect has no word for cancelled")
	require.Equal(t, 5, b.sim.Stats().MaxSeen)
	require.Zero(t, b.sim.Stats().InFlight)
	require.Equal(t, map[string]int{b.sink: 5}, b.sim.SubmissionsByURL())
	status, body, _ := b.do("DELETE", "/api/v1/jobs/"+ids[1], "", "")
	require.Equal(t, 409, status)
	require.Equal(t, "JOB_ENDED", body["code"])
}

func TestRejectBusyAndRateLimit(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *simulator.Config) { c.MaxConcurrent, c.RejectBusy, c.RequestsPerMinute = 1, true, 3 })
	b.submit(nil)
	status, body, header := b.do("POST", "/api/v1/strategy/sweep", "application/json", b.body(nil))
	require.Equal(t, 429, status)
	require.Equal(t, "TOO_MANY_SWEEPS", body["code"])
	require.Equal(t, "3600", header.Get("Retry-After"))
	b.get("/api/v1/jobs/?limit=1")
	status, body, header = b.do("GET", "/api/v1/jobs/", "", "")
	require.Equal(t, 429, status)
	require.Equal(t, "RATE_LIMITED", body["code"])
	require.Equal(t, "20", header.Get("Retry-After"))
	b.get("/health")
	b.clock.Advance(20 * time.Second)
	b.get("/api/v1/jobs?limit=1")
	require.EqualValues(t, 2, b.sim.Stats().Throttled)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	const sweep, asJSON = "/api/v1/strategy/sweep", "application/json"
	for name, c := range map[string]struct {
		method, path, kind, body string
		status                   int
		code, detail             string
	}{
		"no such job":    {"GET", "/api/v1/jobs/x", "", "", 404, "JOB_NOT_FOUND", ""},
		"cancel nothing": {"DELETE", "/api/v1/jobs/x", "", "", 404, "JOB_NOT_FOUND", ""},
		"no such stream": {"GET", "/api/v1/jobs/x/stream", "", "", 404, "JOB_NOT_FOUND", ""},
		"no such run":    {"GET", "/api/v1/sweeps/x", "", "", 404, "SWEEP_NOT_FOUND", ""},
		"no such path":   {"GET", "/api/v2/jobs", "", "", 404, "NOT_FOUND", ""},
		"wrong method":   {"PUT", sweep, "", "", 405, "METHOD_NOT_ALLOWED", ""},
		"no JSON":        {"POST", sweep, asJSON, "{", 422, "VALIDATION_ERROR", "body"},
		"wrong type":     {"POST", sweep, asJSON, b.body(object{"step": "5"}), 422, "VALIDATION_ERROR", "step: must not be a string"},
		"no ranges":      {"POST", sweep, asJSON, b.body(object{"fast_range": nil, "slow_range": []int{1}}), 422, "VALIDATION_ERROR", "fast_range: must be two integers; slow_range"},
		"all at once":    {"POST", sweep, asJSON, b.body(object{"ticker": "x", "step": 51, "min_trades": 9, "strategy_type": "RSI", "webhook_url": "ftp://x", "config_path": "x"}), 422, "VALIDATION_ERROR", "webhook_url"},
		"fast over slow": {"POST", sweep, asJSON, b.body(object{"fast_range": []int{20, 50}}), 422, "VALIDATION_ERROR", "fast_range"},
		"other encoding": {"POST", sweep, "text/plain", "x", 422, "VALIDATION_ERROR", "body"},
		"form":           {"POST", sweep, "application/x-www-form-urlencoded", "ticker=DAX&fast_range=1&slow_range=[2,3]&step=x", 422, "VALIDATION_ERROR", "step"},
		"too large":      {"POST", sweep, asJSON, `{"x":"` + strings.Repeat("a", 65<<10) + `"}`, 413, "BODY_TOO_LARGE", ""},
	} {
		status, body, header := b.do(c.method, c.path, c.kind, c.body)
		require.Equal(t, c.status, status, name)
		require.Equal(t, c.code, body["code"], name)
		require.Contains(t, body["detail"], c.detail, name)
		require.NotEmpty(t, body["error"], name)
		require.NotEmpty(t, body["timestamp"], name)
		require.Equal(t, c.status == 405, header.Get("Allow") != "", name)
	}
	resp, err := http.Get(b.url + "/api/v1/jobs/")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 401, resp.StatusCode)
	require.Zero(t, b.sim.Stats().Submissions)
}

func TestFormDialect(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	form := url.Values{"ticker": {"smi"}, "fast_range": {"[5, 10]"}, "slow_range": {"[20,40]"}, "step": {"5"}, "strategy_type": {"EMA"}, "webhook_url": {b.sink}}
	status, body, _ := b.do("POST", "/api/v1/strategy/sweep", "application/x-www-form-urlencoded", form.Encode())
	require.Equal(t, 200, status)
	id := body["job_id"].(string)
	require.Equal(t, object{
		"job_id": id, "status": "pending", "created_at": "2025-01-27T10:00:00.000000",
		"stream_url": "/api/v1/jobs/" + id + "/stream", "status_url": "/api/v1/jobs/" + id,
	}, body)
	b.running(1)
	b.clock.Advance(time.Hour)
	b.idle()
	h := <-b.hooks
	require.NotContains(t, h.body, "event_type")
	require.Equal(t, "completed", h.body["status"])
	require.Equal(t, "2025-01-27T11:00:00.000000", h.body["webhook_sent_at"])
	data := h.body["result_data"].(object)
	require.NotContains(t, data, "sweep_run_id")
	require.Regexp(t, `sweep_run_id: [0-9a-f-]{36}$`, data["output"])
}

func TestStream(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]float64{"done": 0, "error": 1} {
		b := setup(t, func(c *simulator.Config) { c.Fail = fail })
		id := b.submit(nil)
		b.running(1)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/api/v1/jobs/"+id+"/stream", nil)
		require.NoError(t, err)
		req.Header.Set("X-API-Key", simulator.DevKey)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
		lines := bufio.NewScanner(resp.Body)
		require.True(t, lines.Scan())
		require.Equal(t, `data: {"percent":0,"message":"Sweep running"}`, lines.Text())
		b.clock.Advance(time.Hour)
		var last []string
		for lines.Scan() {
			if lines.Text() != "" {
				last = append(last, lines.Text())
			}
		}
		require.NoError(t, lines.Err())
		require.NoError(t, resp.Body.Close())
		require.GreaterOrEqual(t, len(last), 2)
		require.Equal(t, "event: "+name, last[len(last)-2])
	}
}
