package runner_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
)

// A Slack that refuses everything costs retries and a dead letter, which can be
// sent again; the job has ended and stays so.
func TestANotificationThatFailsForGoodLeavesItsJobAlone(t *testing.T) {
	var calls atomic.Int32
	var well atomic.Bool
	slack := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		if !well.Load() {
			w.WriteHeader(http.StatusNotFound) // the webhook was deleted; 5xx would be waited for
		}
	}))
	t.Cleanup(slack.Close)
	t.Setenv("SLACK_WEBHOOK_URL", slack.URL)
	b := start(t, runner.Config{})
	id := b.submit()
	var letters struct {
		List []struct {
			ID      string `json:"id"`
			JobID   string `json:"job_id"`
			Trigger string `json:"trigger"`
		} `json:"dead_letters"`
	}
	call := func(method, path string, into any) int {
		req, err := http.NewRequestWithContext(t.Context(), method, b.local.PublicURL+path, http.NoBody)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		if into != nil {
			require.NoError(t, json.NewDecoder(resp.Body).Decode(into))
		}
		return resp.StatusCode
	}
	require.Eventually(t, func() bool {
		call(http.MethodGet, "/api/dead-letters", &letters)
		return len(letters.List) == 1
	}, jobTimeout, 50*time.Millisecond)
	require.Equal(t, id, letters.List[0].JobID)
	require.Contains(t, letters.List[0].Trigger, "notify")
	require.EqualValues(t, 4, calls.Load(), "at 0, 2, 6 and 14 s")
	var j job.Job
	require.Equal(t, http.StatusOK, call(http.MethodGet, "/webhook/jobs/"+id, &j))
	require.Equal(t, job.Completed, j.Status)
	require.Empty(t, j.ErrorMessage)

	well.Store(true)
	require.Equal(t, http.StatusAccepted, call(http.MethodPost, "/api/dead-letters/"+letters.List[0].ID+"/redrive", nil))
	require.Eventually(t, func() bool { return calls.Load() == 5 }, jobTimeout, 20*time.Millisecond)

	// What is replayed is as its sender sealed it: it is taken, and changes nothing.
	store := func() (of broker.TriggerInfo) {
		var all jobs.BrokerView
		require.Equal(t, http.StatusOK, call(http.MethodGet, "/api/broker", &all))
		for _, trigger := range all.Triggers {
			if trigger.Name == "store" {
				of = trigger
			}
		}
		return of
	}
	act := "/api/broker/triggers/sweepline/default/store/"
	require.Equal(t, http.StatusAccepted, call(http.MethodPost, act+"pause", nil))
	require.Equal(t, http.StatusAccepted, call(http.MethodPost, act+"replay?since=1h", nil))
	require.Eventually(t, func() bool { return store().Lag >= 4 }, jobTimeout, 20*time.Millisecond, "all events of the job")
	require.Equal(t, http.StatusAccepted, call(http.MethodPost, act+"resume", nil))
	require.Eventually(t, func() bool { s := store(); return s.Lag == 0 && s.Pending == 0 && s.Retries == 0 }, jobTimeout, 20*time.Millisecond)
	letters.List = nil
	require.Equal(t, http.StatusOK, call(http.MethodGet, "/api/dead-letters", &letters))
	require.Empty(t, letters.List)
	require.EqualValues(t, 5, calls.Load())
}
