package runner_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
)

// publishRaw posts an event of the pipeline's types by hand.
func (b *bundle) publishRaw(typ, id, tenant, data string) int {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.local.BrokerURL, strings.NewReader(data))
	require.NoError(b.t, err)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Type": typ, "Ce-Id": id, "Ce-Source": "/by-hand", "Ce-Tenantid": tenant,
	} {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(b.t, err)
	require.NoError(b.t, resp.Body.Close())
	return resp.StatusCode
}

// What can never be read is refused, one by one: it keeps nothing else from being
// taken, and what is taken can be taken up again.
func TestUnreadableEventsKeepNoOtherOut(t *testing.T) {
	t.Parallel()
	b := start(t, runner.Config{})
	requested := func(id, tenant, created string) string {
		return fmt.Sprintf(`{"job_id":%q,"tenant_id":%q,"job_type":"trading-sweep","created_at":%q,"parameters":%s}`, id, tenant, created,
			`{"ticker":"DAX","fast_range":[5,10],"slow_range":[20,30],"step":5,"min_trades":10,"strategy_type":"SMA"}`)
	}
	one := job.NewID()
	for name, data := range map[string]string{
		"a text": `"x"`, "nothing": `{}`, "no tenant": requested(one, "", "2026-01-01T00:00:00Z"),
		"the year 10000 in UTC": requested(one, "default", "9999-12-31T23:59:59-10:00"),
		"the year 1":            requested(one, "default", "0001-01-01T00:00:00Z"),
	} {
		require.Equal(t, http.StatusBadRequest, b.publishRaw(event.SweepRequested, one+"/requested", "default", data), name)
	}
	stop := make(chan struct{})
	var beside sync.WaitGroup
	for w := range 4 {
		beside.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					b.publishRaw(event.SweepRequested, fmt.Sprint(w, "-", n), "default", `"x"`)
				}
			}
		})
	}
	var ids []string
	for range 20 {
		ids = append(ids, b.submit())
	}
	close(stop)
	beside.Wait()
	for _, id := range ids {
		require.Equal(t, job.Completed, b.ended(id).Status)
	}
	var list struct {
		Jobs []job.Job `json:"jobs"`
	}
	require.Equal(t, http.StatusOK, b.get("/api/jobs?limit=100", &list))
	require.Len(t, list.Jobs, len(ids))
}
