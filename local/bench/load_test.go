package bench

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// webhookStub answers as receive does, with what hold does first.
func webhookStub(t *testing.T, hold func(n int64) (status int)) string {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(hold(n.Add(1)))
		_, _ = io.WriteString(w, `{"job_id": "the-id", "status":"QUEUED"}`)
	}))
	t.Cleanup(s.Close)
	return hostOf(s.URL)
}

func accepting(int64) int { return http.StatusAccepted }

func TestClosedLoopSendsEachOnce(t *testing.T) {
	t.Parallel()
	host := webhookStub(t, accepting)
	a, err := closedLoop(t.Context(), host, same(post(host, webhookPath, nil, []byte(sweepBody))), 4, 50)
	require.NoError(t, err)
	require.Len(t, a.accepted, 50)
	require.Equal(t, "the-id", a.accepted[49].id)
	require.Positive(t, a.rate())
}

func TestARefusedRequestIsSentAgain(t *testing.T) {
	t.Parallel()
	host := webhookStub(t, func(n int64) int {
		if n == 2 {
			return http.StatusServiceUnavailable
		}
		return http.StatusAccepted
	})
	a, err := closedLoop(t.Context(), host, same(post(host, webhookPath, nil, nil)), 1, 3)
	require.NoError(t, err)
	require.Len(t, a.accepted, 3)
	require.Equal(t, 1, a.refused)
}

func TestAWrongAnswerEndsALoad(t *testing.T) {
	t.Parallel()
	host := webhookStub(t, func(int64) int { return http.StatusBadRequest })
	request := same(post(host, webhookPath, nil, nil))
	_, err := closedLoop(t.Context(), host, request, 2, 5)
	require.ErrorContains(t, err, "answered with 400")
	_, err = openLoop(t.Context(), host, request, 2, 5, 1000)
	require.ErrorContains(t, err, "answered with 400")
}

// A server that stalls on one request holds up those that come after it on the same
// connection: their latency begins when they were due.
func TestOpenLoopLeavesNoWaitingOut(t *testing.T) {
	t.Parallel()
	const stall = 100 * time.Millisecond
	host := webhookStub(t, func(n int64) int {
		if n == 1 {
			<-time.After(stall)
		}
		return http.StatusAccepted
	})
	a, err := openLoop(t.Context(), host, same(post(host, webhookPath, nil, nil)), 1, 20, 1000)
	require.NoError(t, err)
	require.Len(t, a.accepted, 20)
	second := a.accepted[1]
	require.Equal(t, dueAt(a.began, 1, 1000), second.due)
	require.GreaterOrEqual(t, second.ended.Sub(second.due), stall-2*time.Millisecond, "it waited for the first")
	fromDue := sorted(a.accepted, func(s sent) time.Duration { return s.ended.Sub(s.due) })
	require.Greater(t, percentile(fromDue, 50), stall/2, "half of them were due while the first was stalled")
}

// A running sweepline may be below a path and ask for a key.
func TestWebhook(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/below/webhook/trading-sweep", r.Header.Get("Authorization") != "Bearer the-key":
			w.WriteHeader(http.StatusUnauthorized)
		case n.Add(1) == 1:
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer s.Close()
	r, err := Webhook(t.Context(), s.URL+"/below/", "the-key", 100, 200*time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, 20, r.Requests)
	require.Equal(t, 1, r.Refused)
	require.Positive(t, r.P50)
	require.LessOrEqual(t, r.P99, r.Longest)
	_, err = Webhook(t.Context(), s.URL, "", 100, 100*time.Millisecond)
	require.ErrorContains(t, err, "answered with 401")
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var d []time.Duration
	require.Zero(t, percentile(d, 50))
	for i := range 100 {
		d = append(d, time.Duration(i+1))
	}
	require.Equal(t, time.Duration(50), percentile(d, 50))
	require.Equal(t, time.Duration(99), percentile(d, 99))
	require.Equal(t, time.Duration(100), percentile(d, 100))
	require.Equal(t, time.Duration(7), percentile([]time.Duration{7}, 99))
}

func TestField(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"job_id":"a-b","x":1}`:                  "a-b",
		`{"text":"x","m":{"job_id": "c"}}`:        "c",
		`{"job_id":7}`:                            "",
		`{"text":"\"job_id\":\"no\""}`:            "",
		`{"job_id":`:                              "",
		`{"not_job_id":"d","job_id":"e"}`:         "e",
		`{"status":"QUEUED","job_id":"f","n":"g"`: "f",
	} {
		require.Equal(t, want, field([]byte(body), "job_id"), body)
	}
}
