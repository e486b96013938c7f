package runner_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions"
	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/job"
)

// TestWhatIsRefusedIsListedOnceForEachTrigger: an event that no function takes, small or
// nearly as large as one may be, becomes one dead letter of each Trigger that had it,
// with why, and is gone once it is discarded.
func TestWhatIsRefusedIsListedOnceForEachTrigger(t *testing.T) {
	t.Setenv("TENANT_KEYS", "")
	require.NoError(t, os.Unsetenv("TENANT_KEYS"))
	backends(t, func(t *testing.T, cfg runner.Config) {
		b := start(t, cfg)
		want := map[string]int{} // dead letters by the event's id
		for _, s := range functions.Pipeline {
			for _, kind := range s.Takes {
				for _, size := range []int{1, 990_000} {
					want[fmt.Sprintf("%s/%d", kind, size)]++
				}
			}
		}
		for id := range want {
			kind, size, _ := strings.Cut(id, "/")
			var n int
			_, err := fmt.Sscan(size, &n)
			require.NoError(t, err)
			data, err := json.Marshal(map[string]any{
				"job_id": job.NewID(), "tenant_id": "default", "job_type": job.Type, "created_at": time.Now().UTC(), "padding": strings.Repeat("x", n),
				"parameters": json.RawMessage(`{"ticker":"DAX","fast_range":[5,10],"slow_range":[20,30],"step":5,"min_trades":10,"strategy_type":"SMA"}`),
			})
			require.NoError(t, err)
			if code := b.publishRaw(kind, id, "default", string(data)); code != http.StatusAccepted {
				require.Equal(t, http.StatusBadRequest, code) // the journal of embedded stores reads some
				delete(want, id)
			}
		}
		require.GreaterOrEqual(t, len(want), 6)
		type letter struct {
			ID      string `json:"id"`
			Trigger string `json:"trigger"`
			EventID string `json:"event_id"`
			Reason  string `json:"reason"`
		}
		list := func() []letter {
			var l struct {
				DeadLetters []letter `json:"dead_letters"`
			}
			require.Equal(t, http.StatusOK, b.get("/api/dead-letters?limit=500", &l))
			return l.DeadLetters
		}
		total := 0
		for _, n := range want {
			total += n
		}
		require.Eventually(t, func() bool { return len(list()) >= total }, jobTimeout, 50*time.Millisecond)
		got, seen := map[string]int{}, map[[2]string]bool{}
		for _, l := range list() {
			got[l.EventID]++
			require.Contains(t, l.Reason, "not sealed")
			require.False(t, seen[[2]string{l.Trigger, l.EventID}], "%v twice", l)
			seen[[2]string{l.Trigger, l.EventID}] = true
		}
		require.Equal(t, want, got)
		for batch := range slices.Chunk(list(), 100) {
			ids := make([]string, len(batch))
			for i, l := range batch {
				ids[i] = l.ID
			}
			body, err := json.Marshal(map[string][]string{"ids": ids})
			require.NoError(t, err)
			resp, err := http.Post(b.local.PublicURL+"/api/dead-letters/discard", "application/json", strings.NewReader(string(body)))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusOK, resp.StatusCode)
		}
		require.Empty(t, list())
	})
}
