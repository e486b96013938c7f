package once_test

import (
	"context"
	"math/rand/v2"
	"strconv"
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
			}, time.Minute, 5*time.Millisecond)
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

func TestRevocations(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		prefix := "test" + job.NewID() + ":"
		o, elsewhere := open(t, client, prefix), open(t, client, prefix)
		until := time.Now().Add(12 * time.Hour)
		void := func(group, id string, until time.Time) bool {
			v, err := elsewhere.Revoked(t.Context(), group, id, until)
			require.NoError(t, err)
			return v
		}
		require.False(t, void("a", "one", until))
		for range 2 {
			require.NoError(t, o.Revoke(t.Context(), "a", "one", until))
			require.True(t, void("a", "one", until))
		}
		require.False(t, void("a", "two", until))
		require.False(t, void("b", "one", until))
		for _, key := range keysOf(t, client, prefix+"*") {
			ttl, err := client.PTTL(t.Context(), key).Result()
			require.NoError(t, err)
			require.InDelta(t, 24*time.Hour, ttl, float64(time.Minute))
		}
	})
}

// TestRevocationsAreBounded: of more than are remembered one by one, the oldest make all
// void that is as old. None is ever taken back.
func TestRevocationsAreBounded(t *testing.T) {
	t.Parallel()
	client, err := redisclient.New(servertest.Redis(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	prefix := "test" + job.NewID() + ":"
	o := open(t, client, prefix)
	start := time.Now().Truncate(time.Second)
	at := func(i int) time.Time { return start.Add(time.Duration(i) * time.Second) }
	order := rand.New(rand.NewPCG(7, 7)).Perm(1500)
	for _, i := range order {
		require.NoError(t, o.Revoke(t.Context(), "a", strconv.Itoa(i), at(i)))
	}
	n, err := client.ZCard(t.Context(), prefix+"revoked:{a}").Result()
	require.NoError(t, err)
	require.EqualValues(t, 1000, n)
	void := func(id string, i int) bool {
		v, err := o.Revoked(t.Context(), "a", id, at(i))
		require.NoError(t, err)
		return v
	}
	for _, i := range order {
		require.True(t, void(strconv.Itoa(i), i))
	}
	require.True(t, void("never revoked, but older than what is remembered", 400))
	require.False(t, void("never revoked", 600))
}
