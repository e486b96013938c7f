package redisclient_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/servers"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// A Redis that has much to load is waited for; that it is not there is said at
// once.
func TestAwaitARedisThatLoads(t *testing.T) {
	t.Parallel()
	servertest.Redis(t) // skip, or fail, where there is none
	dir, err := os.MkdirTemp("", "sweepline-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r, err := servers.StartRedis(context.Background(), dir, "--appendfsync", "no")
	require.NoError(t, err)
	client, err := redisclient.New(r.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	_, err = client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range 30_000 { // Redis looks up from its loading every 1,024 commands
			p.Set(t.Context(), "k"+strconv.Itoa(i%50), i, 0)
		}
		return nil
	})
	require.NoError(t, err)
	r.Stop()

	var log bytes.Buffer
	began := time.Now()
	require.Error(t, redisclient.Await(t.Context(), client, slog.New(slog.NewTextHandler(&log, nil))), "nobody is there")
	require.Less(t, time.Since(began), 10*time.Second)
	require.Empty(t, log.String())

	started := make(chan *servers.Redis, 1)
	go func() {
		r, err := servers.StartRedis(context.Background(), dir, "--key-load-delay", "100")
		if err != nil {
			t.Errorf("start redis: %v", err)
		}
		started <- r
	}()
	var second redis.UniversalClient
	require.Eventually(t, func() bool { // a client that has found nobody asks seldom
		second, err = redisclient.New(r.URL)
		require.NoError(t, err)
		t.Cleanup(func() { _ = second.Close() })
		return redis.HasErrorPrefix(second.Ping(t.Context()).Err(), "LOADING")
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, redisclient.Await(t.Context(), second, slog.New(slog.NewTextHandler(&log, nil))))
	require.Contains(t, log.String(), "waiting for Redis")
	require.Contains(t, log.String(), "connected to Redis")
	require.NoError(t, second.Ping(t.Context()).Err())
	(<-started).Stop()
}

// So is one that can write nothing: for want of room, or as a replica.
func TestAwaitARedisThatCannotWrite(t *testing.T) {
	t.Parallel()
	servertest.Redis(t) // skip, or fail, where there is none
	dir, err := os.MkdirTemp("", "sweepline-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r, err := servers.StartRedis(context.Background(), dir, "--maxmemory-policy", "noeviction")
	require.NoError(t, err)
	t.Cleanup(func() { r.Stop() })
	client, err := redisclient.New(r.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	for _, full := range []struct{ name, bad, good string }{{"maxmemory", "1", "0"}, {"min-replicas-to-write", "1", "0"}} {
		require.NoError(t, client.ConfigSet(t.Context(), full.name, full.bad).Err())
		tries := 0
		err := redisclient.Await(t.Context(), client, slog.New(slog.DiscardHandler), func(ctx context.Context) error {
			if tries++; tries == 2 {
				require.NoError(t, client.ConfigSet(ctx, full.name, full.good).Err())
			}
			return client.Set(ctx, "k", "v", 0).Err()
		})
		require.NoError(t, err, full.name)
		require.Equal(t, 2, tries, full.name)
	}
	refused := redisclient.Await(t.Context(), client, slog.New(slog.DiscardHandler), func(ctx context.Context) error {
		return client.LPush(ctx, "k", "v").Err()
	})
	require.ErrorContains(t, refused, "WRONGTYPE", "which no waiting mends")
}
