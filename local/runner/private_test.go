package runner_test

import (
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/servers"
	"github.com/zixly/sweepline/shared/servers/servertest"
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
	b := start(t, runner.Config{TradingURL: "http://who:hush@" + l.Addr().String() + "/v1"})
	require.NotContains(t, b.local.Summary(), "hush")
	require.Contains(t, b.local.Summary(), "http://"+l.Addr().String()+"/v1")
}

// TestPrivateServersHaveALoginForEachUse: what reads for pages cannot write and sees one
// tenant at a time, what surveys cannot write, and none owns the tables. It holds for a
// database of a version before, which one login did everything with.
func TestPrivateServersHaveALoginForEachUse(t *testing.T) {
	t.Parallel()
	servertest.Redis(t)
	servertest.Postgres(t) // both skip where there is none
	dir, err := os.MkdirTemp("", "sweepline-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	before, err := servers.StartPostgres(t.Context(), dir+"/postgres")
	require.NoError(t, err)
	old, err := postgres.Open(t.Context(), postgres.Config{DatabaseURL: before.URL, Timeout: time.Minute, BulkTimeout: time.Minute, Migrate: true})
	require.NoError(t, err)
	h := jobstoretest.Header("default")
	jobstoretest.Complete(t, old, h, jobstoretest.Rows(2))
	require.NoError(t, old.Close())
	before.Stop()

	b := start(t, runner.Config{Servers: true, DataDir: dir})
	require.Contains(t, b.local.Mode, "private PostgreSQL")
	id := b.submit()
	b.ended(id)
	require.Equal(t, http.StatusOK, b.get("/api/jobs/"+id, nil))
	require.Equal(t, http.StatusOK, b.get("/api/jobs/"+h.JobID, nil))
	write, survey, read := b.local.Logins()
	e, err := event.NewRequested(event.Requested{Header: jobstoretest.Header("default")})
	require.NoError(t, err)
	for name, l := range map[string]jobstore.Store{"survey": survey, "read": read} {
		require.ErrorContains(t, l.Apply(t.Context(), e)[0].Err, "permission denied", name)
		_, err := l.(*postgres.Store).Roles(t.Context())
		require.ErrorIs(t, err, jobstore.ErrUnusable, name)
	}
	_, err = write.(*postgres.Store).Roles(t.Context())
	require.ErrorIs(t, err, jobstore.ErrUnusable, "who writes owns nothing either")
	found, err := survey.Lookup(t.Context(), []string{id, h.JobID})
	require.NoError(t, err)
	require.Len(t, found, 2)
	found, err = read.Lookup(t.Context(), []string{id, h.JobID})
	require.NoError(t, err)
	require.Empty(t, found)
	// Who reads for pages shows seals; a person's login may name a tenant.
	for login, message := range map[string]string{postgres.RoleSealed + "_login": "not sealed", servers.Person: ""} {
		l, err := postgres.Open(t.Context(), postgres.Config{DatabaseURL: before.As(login, 1), Timeout: time.Minute, BulkTimeout: time.Minute})
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		if message != "" {
			require.ErrorContains(t, l.Start(t.Context()), message)
			continue
		}
		_, err = l.Job(t.Context(), "default", id)
		require.NoError(t, err)
		require.ErrorContains(t, l.Apply(t.Context(), e)[0].Err, "permission denied")
	}
}

// TestLoginsOfADatabaseThatIsGiven: each that is named is used, and one without
// DATABASE_URL is an error.
func TestLoginsOfADatabaseThatIsGiven(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	_, err := postgres.MakeRoles(t.Context(), s.postgres.SuperURL, servers.Person)
	require.NoError(t, err)
	b := start(t, runner.Config{RedisURL: s.redis.URL, DatabaseURL: s.postgres.URL, DatabaseReadURL: s.postgres.As(servers.Person, 4)})
	write, survey, read := b.local.Logins()
	require.Same(t, write, survey)
	require.NotSame(t, write, read)
	b.ended(b.submit())
	_, err = runner.Start(t.Context(), runner.Config{DataDir: t.TempDir(), DatabaseReadURL: "postgres://x"}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "need DATABASE_URL")
}
