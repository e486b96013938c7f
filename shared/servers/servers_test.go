package servers_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func TestRedisKeepsWritesAcrossKill(t *testing.T) {
	t.Parallel()
	servertest.Redis(t) // skips where there is none
	dir := t.TempDir()
	ctx := context.Background()
	r, err := servers.StartRedis(ctx, dir)
	require.NoError(t, err)
	client := func() *goredis.Client {
		o, err := goredis.ParseURL(r.URL)
		require.NoError(t, err)
		c := goredis.NewClient(o)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	require.NoError(t, client().Set(ctx, "k", "v", 0).Err())
	r.Kill()
	r, err = servers.StartRedis(ctx, dir)
	require.NoError(t, err)
	require.Equal(t, "v", client().Get(ctx, "k").Val())
	r.Stop()
	r.Stop() // twice is fine
}

func TestPostgresKeepsWritesAcrossKill(t *testing.T) {
	t.Parallel()
	servertest.Postgres(t) // skips where there is none
	dir, err := os.MkdirTemp("", "sweepline-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx := context.Background()
	p, err := servers.StartPostgres(ctx, dir+"/pg")
	require.NoError(t, err)
	query := func(sql string) string {
		c, err := pgx.Connect(ctx, p.URL)
		require.NoError(t, err)
		defer func() { _ = c.Close(ctx) }()
		var s string
		require.NoError(t, c.QueryRow(ctx, sql).Scan(&s))
		return s
	}
	require.Equal(t, "off", query("SELECT current_setting('is_superuser')"))
	c, err := pgx.Connect(ctx, p.URL)
	require.NoError(t, err)
	_, err = c.Exec(ctx, "CREATE TABLE t AS SELECT 'kept' AS v")
	require.NoError(t, err)
	p.Kill()
	p, err = servers.StartPostgres(ctx, dir+"/pg")
	require.NoError(t, err)
	require.Equal(t, "kept", query("SELECT v FROM t"))
	p.Stop()
}
