package once_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func eachRedis(t *testing.T, test func(t *testing.T, client redis.UniversalClient)) {
	t.Helper()
	for name, url := range map[string]func(testing.TB) string{
		"miniredis": servertest.Miniredis, "redis": servertest.Redis, "cluster": servertest.Cluster,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := redisclient.New(url(t))
			require.NoError(t, err)
			t.Cleanup(func() { _ = client.Close() })
			test(t, client)
		})
	}
}

// keysOf lists keys, on every node of a cluster.
func keysOf(t *testing.T, client redis.UniversalClient, pattern string) []string {
	t.Helper()
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		keys, err := client.Keys(t.Context(), pattern).Result()
		require.NoError(t, err)
		return keys
	}
	var mu sync.Mutex
	var all []string
	require.NoError(t, cluster.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		keys, err := node.Keys(ctx, pattern).Result()
		mu.Lock()
		defer mu.Unlock()
		all = append(all, keys...)
		return err
	}))
	return all
}

func open(t *testing.T, client redis.UniversalClient, prefix string) *once.Once {
	t.Helper()
	o, err := once.New(client, client, prefix)
	require.NoError(t, err)
	return o
}

func TestClaims(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		w := open(t, client, "test"+job.NewID()+":")
		claim := func(want once.Claim) {
			t.Helper()
			got, err := w.Claim(t.Context(), "job/slack", time.Minute)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		claim(once.Won)
		claim(once.Held)
		require.NoError(t, w.Release(t.Context(), "job/slack"))
		claim(once.Won)
		require.NoError(t, w.MarkDone(t.Context(), "job/slack", "", time.Hour))
		claim(once.Done)
		require.NoError(t, w.MarkDone(t.Context(), "job/slack", "at noon", time.Hour))
		got, note, err := w.ClaimNoted(t.Context(), "job/slack", time.Minute)
		require.NoError(t, err)
		require.Equal(t, once.Done, got)
		require.Equal(t, "at noon", note)
		require.NoError(t, w.Release(t.Context(), "job/slack"))
		claim(once.Done)
	})
}

// Who comes after a winner that vanished is told so, however often that fails.
func TestAClaimWhoseWinnerVanished(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		w := open(t, client, "test"+job.NewID()+":")
		const key, lease = "job/email", 50 * time.Millisecond
		got, err := w.Claim(t.Context(), key, lease)
		require.NoError(t, err)
		require.Equal(t, once.Won, got)
		for range 2 {
			require.Eventually(t, func() bool {
				got, err = w.Claim(t.Context(), key, time.Minute)
				return err == nil && got != once.Held
			}, 10*time.Second, 5*time.Millisecond)
			require.Equal(t, once.Again, got)
			require.NoError(t, w.Release(t.Context(), key))
		}
		got, err = w.Claim(t.Context(), key, time.Minute)
		require.NoError(t, err)
		require.Equal(t, once.Again, got)
		require.NoError(t, w.MarkDone(t.Context(), key, "", time.Hour))
		got, err = w.Claim(t.Context(), key, time.Minute)
		require.NoError(t, err)
		require.Equal(t, once.Done, got)
	})
}

func TestAKeyStandsForItsFirstJob(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		prefix := "test" + job.NewID() + ":"
		w := open(t, client, prefix)
		first, second := job.NewID(), job.NewID()
		use := func(tenant, key, candidate string) string {
			id, err := w.Key(t.Context(), tenant, key, candidate)
			require.NoError(t, err)
			return id
		}
		require.Equal(t, first, use("acme", "k", first))
		require.Equal(t, first, use("acme", "k", second))
		require.Equal(t, second, use("globex", "k", second), "another tenant's key")
		require.Equal(t, second, use("acm", "ek", second))
		_, err := w.Key(t.Context(), "acme", "k", "no id")
		require.Error(t, err)

		// After 24 hours the key is forgotten, and stands for a new job.
		keys := keysOf(t, client, prefix+"key:*")
		require.Len(t, keys, 3)
		for _, k := range keys {
			ttl, err := client.PTTL(t.Context(), k).Result()
			require.NoError(t, err)
			require.InDelta(t, 24, ttl.Hours(), 0.01)
			require.NoError(t, client.Del(t.Context(), k).Err())
		}
		require.Equal(t, second, use("acme", "k", second))
	})
}
