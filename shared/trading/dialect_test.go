package trading_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/trading"
)

const run = "0195a1b2-0000-4000-8000-0123456789ab"

// answering is a client of an API that always gives the same answer.
func answering(t *testing.T, status int, body string, header ...string) *trading.Client {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(api.Close)
	c, err := trading.New(trading.Config{URL: api.URL + "/"})
	require.NoError(t, err)
	return c
}

func TestSubmitAnswers(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 1, 27, 10, 0, 0, 500e6, time.UTC)
	for name, c := range map[string]struct {
		status int
		body   string
		want   trading.Submission
	}{
		"older, no zone": {200, `{"job_id":"j1","status":"pending","created_at":"2025-01-27T10:00:00.5","stream_url":"/s","status_url":"/t"}`,
			trading.Submission{JobID: "j1", Combinations: dax().Combinations(), CreatedAt: at}},
		"newer": {202, `{"job_id":"j2","status":"queued","message":"m","parameters":{"combinations":42},"estimated_duration_seconds":90.5,"created_at":"2025-01-27T11:00:00.5+01:00"}`,
			trading.Submission{JobID: "j2", EstimatedDuration: 90500 * time.Millisecond, Combinations: 42, CreatedAt: at}},
		"bare": {200, `{"job_id":"j3","created_at":"yesterday","estimated_duration_seconds":null,"parameters":"x"}`,
			trading.Submission{JobID: "j3", Combinations: dax().Combinations()}},
		"estimate without bounds": {200, `{"job_id":"j4","estimated_duration_seconds":1e300}`,
			trading.Submission{JobID: "j4", Combinations: dax().Combinations(), EstimatedDuration: 7 * 24 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := answering(t, c.status, c.body).Submit(t.Context(), dax(), "http://x", nil)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	for _, body := range []string{``, `{}`, `[]`, `{"job_id":7}`, `{"job_id":"a b"}`, `<html>`} {
		_, err := answering(t, 200, body).Submit(t.Context(), dax(), "http://x", nil)
		require.Error(t, err, body)
		require.True(t, trading.Uncertain(err), "the sweep may run: %s", body)
		require.True(t, trading.Unavailable(err), body)
	}
}

func TestJobAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want trading.Job
	}{
		"minimal running":   {`{"status":"running"}`, trading.Job{Status: trading.Running}},
		"minimal completed": {`{"status":"completed","sweep_run_id":"` + run + `"}`, trading.Job{Status: trading.Completed, RunID: run, Progress: 100}},
		"minimal failed":    {`{"status":"failed","error_message":"no\u0000 data"}`, trading.Job{Status: trading.Failed, ErrorMessage: "no  data"}},
		"queued":            {`{"status":"queued","progress":null}`, trading.Job{Status: trading.Pending}},
		"progress bounds":   {`{"status":"running","progress":250.7}`, trading.Job{Status: trading.Running, Progress: 100}},
		"run id in data":    {`{"status":"completed","result_data":{"sweep_run_id":"` + run + `","total_combinations":7,"execution_time_seconds":1.5}}`, trading.Job{Status: trading.Completed, RunID: run, Progress: 100, Combinations: 7, ExecutionSeconds: 1.5}},
		"run id in output":  {`{"status":"completed","result_data":{"output":"Done.\nsweep_run_id: ` + strings.ToUpper(run) + `\nbye"}}`, trading.Job{Status: trading.Completed, RunID: run, Progress: 100}},
		"run id in a list":  {`{"status":"completed","result_data":{"output":["a","sweep_run_id: ` + run + `"]}}`, trading.Job{Status: trading.Completed, RunID: run, Progress: 100}},
		"data is a text":    {`{"status":"completed","result_data":"{\"sweep_run_id\": \"` + run + `\"}"}`, trading.Job{Status: trading.Completed, RunID: run, Progress: 100}},
		"no run id":         {`{"status":"completed","result_data":{"output":"sweep_run_id: none"}}`, trading.Job{Status: trading.Completed, Progress: 100}},
		"hostile run id":    {`{"status":"completed","sweep_run_id":"../jobs/x"}`, trading.Job{Status: trading.Completed, Progress: 100}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := answering(t, 200, c.body).Job(t.Context(), "j1")
			require.NoError(t, err)
			c.want.ID = "j1"
			require.Equal(t, c.want, got)
		})
	}
	for _, body := range []string{`{}`, `{"status":"levitating"}`, `[]`, `{"status":3}`} {
		_, err := answering(t, 200, body).Job(t.Context(), "j1")
		require.True(t, trading.Unavailable(err), body)
	}
}

func TestJobListAnswers(t *testing.T) {
	t.Parallel()
	list := `[{"job_id":"a","status":"running","parameters":{"webhook_url":"http://h/webhook/sweep-callback?job=J1&token=old"}},
		{"job_id":"b","status":"other","parameters":[1]},{"job_id":7},{"status":"running"},"x",
		{"job_id":"c","status":"failed","parameters":{"webhook_url":"http://h/?job=J1&token=new"}}]`
	for _, body := range []string{list, `{"jobs":` + list + `,"total":6}`} {
		c := answering(t, 200, body)
		jobs, err := c.Jobs(t.Context())
		require.NoError(t, err)
		require.Len(t, jobs, 3)
		require.False(t, jobs[1].Status.Ended())
		found, err := c.Find(t.Context(), "J1", time.Time{})
		require.NoError(t, err)
		require.Len(t, found, 2)
		require.Equal(t, "a", found[0].ID)
	}
	for _, body := range []string{`{}`, `7`, `{"jobs":null}`} {
		_, err := answering(t, 200, body).Jobs(t.Context())
		require.Error(t, err, body)
	}
}

func TestErrorAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status             int
		body, retry        string
		code, detail       string
		after              time.Duration
		permanent, unclear bool
	}{
		"own":            {422, `{"error":"E","detail":"d","code":"C","timestamp":"t"}`, "", "C", "d", 0, true, false},
		"framework list": {422, `{"detail":[{"loc":["body","step"],"msg":"too big","type":"t"}]}`, "", "", "body.step: too big", 0, true, false},
		"framework text": {404, `{"detail":"Not Found"}`, "", "", "Not Found", 0, true, false},
		"only error":     {400, `{"error":"bad","code":17}`, "", "17", "bad", 0, true, false},
		"html":           {502, `<html>Bad Gateway</html>`, "", "", "", 0, false, true},
		"500":            {500, `{"error":"x"}`, "", "", "x", 0, false, true},
		"503":            {503, ``, "120", "", "", 2 * time.Minute, false, false},
		"429 for years":  {429, ``, "99999999999", "", "", time.Hour, false, false},
		"429 negative":   {429, ``, "-5", "", "", 0, false, false},
		"429 nonsense":   {429, ``, "soon", "", "", 0, false, false},
		"408":            {408, ``, "", "", "", 0, false, false},
		"425":            {425, ``, "", "", "", 0, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := answering(t, c.status, c.body, "Retry-After", c.retry).Submit(t.Context(), dax(), "http://x", nil)
			var e *trading.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.status, e.Status)
			require.Equal(t, c.code, e.Code)
			require.Equal(t, c.detail, e.Detail)
			require.Equal(t, c.after, e.RetryAfter)
			require.Equal(t, c.permanent, e.Permanent())
			require.Equal(t, !c.permanent, e.Unavailable())
			require.Equal(t, c.unclear, e.Uncertain())
		})
	}
	_, err := answering(t, 429, "", "Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)).Jobs(t.Context())
	var e *trading.Error
	require.ErrorAs(t, err, &e)
	require.InDelta(t, 60, e.RetryAfter.Seconds(), 5)
}

func TestKeyStaysWithItsHost(t *testing.T) {
	t.Parallel()
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(other.Close)
	_, err := answering(t, 307, "", "Location", other.URL).Jobs(t.Context())
	require.Error(t, err)
	require.False(t, asked)
}

func TestRowsOfDataFrames(t *testing.T) {
	t.Parallel()
	body := `{"sweep_run_id":"r","results":[
		{"ticker":"DAX","strategy_type":"MACD","fast_period":12.0,"slow_period":26,"signal_period":9.0,"score":1.5,"total_trades":45.0,
		 "avg_trade_duration":"12 days 06:00:00","annualized_return":null,"unknown":[1]}]}`
	best, err := answering(t, 200, body).Best(t.Context(), "r", "")
	require.NoError(t, err)
	nine, days := 9, 12.25
	require.Equal(t, []job.Row{{
		Ticker: "DAX", StrategyType: "MACD", FastPeriod: 12, SlowPeriod: 26, SignalPeriod: &nine,
		Score: 1.5, TotalTrades: 45, AvgTradeDuration: &days,
	}}, best.Rows)

	for _, row := range []string{`{"fast_period":1.5}`, `{"total_trades":-1}`, `{"slow_period":1e12}`, `{"score":"x"}`} {
		_, err := answering(t, 200, `{"results":[`+row+`]}`).Best(t.Context(), "r", "")
		require.Error(t, err, row)
	}
}

func TestPagesEnd(t *testing.T) {
	t.Parallel()
	// An API that says there is more but gives nothing: an error, not a short result.
	_, err := answering(t, 200, `{"total_count":3,"results":[]}`).Page(t.Context(), "r", "", 2)
	var e *trading.Error
	require.ErrorAs(t, err, &e)
	require.True(t, e.Unreadable())
	require.False(t, e.Permanent())
	// At the end it gives nothing either.
	p, err := answering(t, 200, `{"total_count":3,"results":[]}`).Page(t.Context(), "r", "", 3)
	require.NoError(t, err)
	require.True(t, p.Last)
	// One that does not count: a short page is the last.
	p, err = answering(t, 200, `{"results":[{"fast_period":1},{"fast_period":2}]}`).Page(t.Context(), "r", "", 0)
	require.NoError(t, err)
	require.Equal(t, -1, p.Total)
	require.True(t, p.Last)
	require.Len(t, p.Rows, 2)
	full := `{"results":[` + strings.Repeat(`{"fast_period":1},`, 499) + `{"fast_period":1}]}`
	p, err = answering(t, 200, full).Page(t.Context(), "r", "", 0)
	require.NoError(t, err)
	require.False(t, p.Last)
	p, err = answering(t, 200, `{"total_count":1000000000,"synthetic":true,"results":[{"fast_period":1}]}`).Page(t.Context(), "r", "", 0)
	require.NoError(t, err)
	require.False(t, p.Last)
	require.True(t, p.Rows[0].Synthetic)
	// One that gives its rows one by one is not asked for ever: others need the calls.
	_, err = answering(t, 200, `{"total_count":1002,"results":[{"fast_period":1}]}`).Page(t.Context(), "r", "", 1000)
	require.ErrorAs(t, err, &e)
	require.True(t, e.Unreadable())
	p, err = answering(t, 200, `{"total_count":1001,"results":[{"fast_period":1}]}`).Page(t.Context(), "r", "", 1000)
	require.NoError(t, err)
	require.True(t, p.Last)
	for _, body := range []string{`{"results":`, `[]`, `{"results":[{"fast_period":"x"}]}`, `{"results":[{"fast_period":0.5}]}`} {
		_, err = answering(t, 200, body).Page(t.Context(), "r", "", 0)
		require.ErrorAs(t, err, &e)
		require.True(t, e.Unreadable(), body)
	}
}
