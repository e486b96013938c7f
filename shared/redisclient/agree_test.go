package redisclient_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestAllAgree(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{"miniredis": servertest.Miniredis, "redis": servertest.Redis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := redisclient.New(url(t))
			require.NoError(t, err)
			t.Cleanup(func() { _ = client.Close() })
			key := "agree:" + t.Name()
			t.Cleanup(func() { client.Del(t.Context(), key) })
			var mu sync.Mutex
			got := map[string]int{}
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					v, err := redisclient.Agree(t.Context(), client, key, fmt.Sprint(i))
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						got[v]++
					}
				})
			}
			wg.Wait()
			require.Len(t, got, 1)
			for _, n := range got {
				require.Equal(t, 8, n)
			}
		})
	}
}
