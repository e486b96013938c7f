package runner_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
)

// TestTheEmbeddedRedisAsksForAPassword: every user of the machine reaches the
// loopback port that it listens on.
func TestTheEmbeddedRedisAsksForAPassword(t *testing.T) {
	t.Parallel()
	b := start(t, runner.Config{})
	o, err := redis.ParseURL(b.local.RedisURL())
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(o.Password), 26)
	stranger := redis.NewClient(&redis.Options{Addr: o.Addr})
	t.Cleanup(func() { _ = stranger.Close() })
	require.ErrorContains(t, stranger.FlushAll(t.Context()).Err(), "NOAUTH")
	require.NotContains(t, b.local.Mode+b.local.Summary(), o.Password)
	b.ended(b.submit()) // ours have it
}

// TestMetricsAreOnTheAdminPortOnly: they name tenants and tickers.
func TestMetricsAreOnTheAdminPortOnly(t *testing.T) {
	t.Parallel()
	b := start(t, runner.Config{})
	for _, at := range append(b.local.StepURLs(), b.local.PublicURL, "http://"+strings.Split(b.local.BrokerURL, "/")[2]) {
		require.Equal(t, http.StatusNotFound, status(t, at+"/metrics"), at)
	}
	require.Equal(t, http.StatusOK, status(t, b.local.AdminURL+"/metrics"))
}

func status(t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// TestTheSummaryShowsNoCredentials of a trading API that asks for some.
func TestTheSummaryShowsNoCredentials(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close()) // nobody there, which a start does not mind
	b := start(t, runner.Config{TradingURL: "http://who:hush@" + l.Addr().String() + "/v1?key=hush"})
	require.NotContains(t, b.local.Summary(), "hush")
	require.Contains(t, b.local.Summary(), "http://"+l.Addr().String()+"/v1")
}
