package wait_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/wait"
)

func TestAKeyStandsForItsFirstJob(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		prefix := "test" + job.NewID() + ":"
		w, _ := open(t, url, wait.Config{KeyPrefix: prefix})
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
		opts, err := redis.ParseURL(url)
		require.NoError(t, err)
		client := redis.NewClient(opts)
		defer func() { _ = client.Close() }()
		keys, err := client.Keys(t.Context(), prefix+"key:*").Result()
		require.NoError(t, err)
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
