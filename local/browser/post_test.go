package browser_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// post asks for a sweep as a client does.
func post(t *testing.T, v *visitor, body string) (id string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.local.PublicURL+"/webhook/trading-sweep", strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusAccepted, resp.StatusCode)
	var answer struct {
		JobID string `json:"job_id"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	return answer.JobID
}

// ended waits for the end of a job.
func (v *visitor) ended(id string) {
	v.t.Helper()
	require.Eventually(v.t, func() bool {
		r, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.local.PublicURL+"/api/jobs/"+id, http.NoBody)
		require.NoError(v.t, err)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var j struct{ Status string }
		return json.NewDecoder(resp.Body).Decode(&j) == nil && j.Status == "COMPLETED"
	}, patience, 100*time.Millisecond, id)
}

func withoutScript() chromedp.Action { return emulation.SetScriptExecutionDisabled(true) }
