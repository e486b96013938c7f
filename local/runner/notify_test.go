package runner_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/notifyurl"
)

// The address of a request is called once, whatever the end. A schedule whose address may
// not be called ends the start.
func TestTheAddressOfARequestIsCalled(t *testing.T) {
	const secret = "a secret of 16 bytes at least"
	t.Setenv("NOTIFY_URL_HOSTS", "127.0.0.1")
	t.Setenv("NOTIFY_URL_SECRET", secret)
	keys, err := notifyurl.NewKeys(secret, "")
	require.NoError(t, err)
	backends(t, func(t *testing.T, cfg runner.Config) {
		var mu sync.Mutex
		ends := map[string][]job.State{}
		var wrong []string
		to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			var e struct{ Data struct{ Job job.Job } }
			_ = json.Unmarshal(body, &e)
			at, _ := strconv.ParseInt(r.Header.Get("Webhook-Timestamp"), 10, 64)
			mu.Lock()
			defer mu.Unlock()
			if keys.Sign("default", r.Header.Get("Webhook-Id"), time.Unix(at, 0), body) != r.Header.Get("Webhook-Signature") {
				wrong = append(wrong, string(body))
			}
			ends[e.Data.Job.JobID] = append(ends[e.Data.Job.JobID], e.Data.Job.Shown())
		}))
		t.Cleanup(to.Close)
		cfg.SimulatorDelay = 2 * time.Second
		b := start(t, cfg)
		submit := func() string {
			resp, answer := b.post(strings.Replace(sweep, "{", `{"notify_url":"`+to.URL+`/hook",`, 1), "")
			require.Equal(t, http.StatusAccepted, resp.StatusCode, answer)
			return answer["job_id"].(string)
		}
		completes, cancelled := submit(), submit()
		resp, err := http.Post(b.local.PublicURL+"/api/jobs/"+cancelled+"/cancel", "", http.NoBody)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		told := func(id string) (all int) {
			var timeline struct{ Events []job.TimelineEvent }
			b.get("/api/jobs/"+id+"/events", &timeline)
			for _, e := range timeline.Events {
				if e.Data["channel"] == "url" && e.Error == "" {
					all++
				}
			}
			return all
		}
		require.Eventually(t, func() bool { return told(completes) == 1 && told(cancelled) == 1 }, jobTimeout, 50*time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, map[string][]job.State{completes: {job.Completed}, cancelled: {job.ShownCancelled}}, ends)
		require.Empty(t, wrong)
		require.Equal(t, to.URL+"/hook", b.job(completes).NotifyURL)
	})

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(`{apiVersion: sources.knative.dev/v1, kind: PingSource, metadata: {name: a}, spec: {contentType: application/json,
		data: '{"ticker":"DAX","fast_range":[5,50],"slow_range":[20,200],"step":5,"notify_url":"https://evil.example/"}'}}`), 0o600))
	_, err = runner.Start(t.Context(), runner.Config{DataDir: t.TempDir(), SchedulesDir: dir}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "PingSource sweepline/a: spec.data: notify_url: must name a host that this installation allows")
}

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
