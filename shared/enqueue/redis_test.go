package enqueue_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/wait"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// counter is a broker that keeps each event once.
type counter struct {
	mu    sync.Mutex
	ids   map[string]int
	times map[time.Time]bool
}

func (c *counter) Send(_ context.Context, es ...cloudevents.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range es {
		c.ids[e.ID()]++
		c.times[e.Time()] = true
	}
	return nil
}

// TestFiftyAtOnce: equal keys at the same instant are one job, on both kinds of
// Redis.
func TestFiftyAtOnce(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{"redis": servertest.Redis, "miniredis": servertest.Miniredis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waits, err := wait.Open(t.Context(), wait.Config{RedisURL: url(t), KeyPrefix: "sweepline:test:" + job.NewID() + ":"})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, waits.Close()) })
			c := &counter{ids: map[string]int{}, times: map[time.Time]bool{}}
			var ticks atomic.Int64
			in, err := enqueue.New(waits, c, func() time.Time { return time.UnixMilli(1_700_000_000_000 + ticks.Add(1)) })
			require.NoError(t, err)

			const n = 50
			start := make(chan struct{})
			var wg sync.WaitGroup
			var first atomic.Int32
			for range n {
				wg.Go(func() {
					<-start
					a, err := in.Enqueue(t.Context(), enqueue.Request{Tenant: "acme", Key: "k", Sweep: sweep})
					if err != nil || a.Header.JobID != job.DeriveID("acme", "k", time.UnixMilli(1_700_000_000_000)) {
						t.Errorf("got %v, %v", a, err)
					}
					if !a.Replayed {
						first.Add(1)
					}
				})
			}
			close(start)
			wg.Wait()
			require.EqualValues(t, 1, first.Load(), "one made the job")
			require.Equal(t, map[string]int{job.DeriveID("acme", "k", time.UnixMilli(1_700_000_000_000)) + "/requested": n}, c.ids)
			require.Len(t, c.times, 1, "all sent the header of the first")

			other := sweep
			other.Step++
			_, err = in.Enqueue(t.Context(), enqueue.Request{Tenant: "acme", Key: "k", Sweep: other})
			require.ErrorIs(t, err, enqueue.ErrConflict)
			a, err := in.Enqueue(t.Context(), enqueue.Request{Tenant: "globex", Key: "k", Sweep: other})
			require.NoError(t, err)
			require.False(t, a.Replayed, "keys are the tenant's own")
			rec, err := waits.Get(t.Context(), a.Header.JobID)
			require.NoError(t, err)
			require.Equal(t, a.Header, rec.Header, "readable at once")
		})
	}
}
