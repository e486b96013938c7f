package redisclient

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// Every caller gets the answer to its own script, however many go together.
func TestGroup(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"miniredis": servertest.Miniredis(t), "redis": servertest.Redis(t), "cluster": servertest.Cluster(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := New(url)
			require.NoError(t, err)
			defer func() { require.NoError(t, client.Close()) }()
			g, prefix := NewGroup(client), uuid.NewString()
			script := redis.NewScript("if ARGV[1] == '7' then return redis.error_reply('NO seven') end return redis.call('INCRBY', KEYS[1], ARGV[1])")
			var all sync.WaitGroup
			for i := range 300 {
				all.Go(func() {
					n, err := script.Run(context.Background(), g, []string{fmt.Sprint(prefix, i)}, i).Int()
					if i == 7 {
						if err == nil || err.Error() != "NO seven" {
							t.Errorf("error %v", err)
						}
						return
					}
					if err != nil || n != i {
						t.Errorf("%d: %d, %v", i, n, err)
					}
				})
			}
			all.Wait()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			require.ErrorIs(t, script.Run(ctx, g, []string{prefix}, 1).Err(), context.Canceled)
		})
	}
}

// What comes while Redis is busy goes in few round trips.
func TestGroupGathers(t *testing.T) {
	t.Parallel()
	client, err := New(servertest.Redis(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	trips := &roundTrips{}
	client.AddHook(trips)
	g := NewGroup(client)
	script := redis.NewScript("return 1")
	require.NoError(t, script.Run(t.Context(), g, nil).Err())
	require.Eventually(t, func() bool { // the answer comes before its group has ended
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.inFlight > 0 {
			return false
		}
		g.inFlight = groupsInFlight // as if Redis kept both groups in flight
		return true
	}, time.Minute, time.Millisecond)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if err := script.Run(context.Background(), g, nil).Err(); err != nil {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.queue) == 100
	}, time.Minute, time.Millisecond)
	before := trips.count()
	g.flush()
	all.Wait()
	require.LessOrEqual(t, trips.count()-before, 3, "one pipeline, and what a new connection says first")
}

// What callers have given up before it was sent is not done.
func TestGroupLeavesOutWhatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	client, err := New(servertest.Miniredis(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	g, key := NewGroup(client), uuid.NewString()
	script := redis.NewScript("return redis.call('INCR', KEYS[1])")
	require.NoError(t, script.Load(t.Context(), client).Err())
	g.inFlight = groupsInFlight // as if Redis kept both groups in flight
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if err := script.Run(ctx, g, []string{key}).Err(); err == nil {
				t.Error("done")
			}
		})
	}
	queued := func(n int) func() bool {
		return func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return len(g.queue) == n
		}
	}
	require.Eventually(t, queued(10), time.Minute, time.Millisecond)
	cancel()
	all.Wait()
	all.Go(func() {
		if n, err := script.Run(context.Background(), g, []string{key}).Int(); err != nil || n != 1 {
			t.Errorf("%d, %v", n, err)
		}
	})
	require.Eventually(t, queued(11), time.Minute, time.Millisecond)
	g.flush()
	all.Wait()
}

type roundTrips struct {
	mu sync.Mutex
	n  int
}

func (r *roundTrips) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func (r *roundTrips) add() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
}

func (*roundTrips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *roundTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.add()
		return next(ctx, cmd)
	}
}

func (r *roundTrips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		r.add()
		return next(ctx, cmds)
	}
}
