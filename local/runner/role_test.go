package runner_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/job"
)

// A receiver accepts durably and does nothing else; a worker does all the rest.
func TestRolesShareTheWork(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	part := func(r runner.Role) *bundle {
		return start(t, runner.Config{RedisURL: s.redis.URL, DatabaseURL: s.postgres.URL, CallbackSecret: strings.Repeat("s", 32), Role: r})
	}
	receiver := part(runner.Receiver)
	ids := []string{receiver.submit(), receiver.submit(), receiver.submit()}
	for _, id := range ids {
		require.Equal(t, job.Queued, receiver.job(id).Status)
	}

	worker := part(runner.Worker)
	for _, id := range ids {
		require.Equal(t, job.Completed, worker.ended(id).Status)
	}
	of, _ := receiver.submissions()
	require.Empty(t, of, "submissions of the receiver")
	of, _ = worker.submissions()
	require.Len(t, of, 3, "submissions of the worker")

	get := func(method, url string) int {
		req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	require.Equal(t, http.StatusOK, get(http.MethodGet, receiver.local.PublicURL+"/health"))
	require.Equal(t, http.StatusOK, get(http.MethodGet, worker.local.PublicURL+"/health"))
	require.Equal(t, http.StatusNotFound, get(http.MethodPost, worker.local.PublicURL+"/webhook/trading-sweep"))
}

func TestAnUnknownRoleIsRefused(t *testing.T) {
	t.Parallel()
	_, err := runner.ParseRole("drone")
	require.ErrorContains(t, err, "drone")
	_, err = runner.Start(t.Context(), runner.Config{Role: "drone", DataDir: t.TempDir()}, nil)
	require.ErrorContains(t, err, "drone")
}
