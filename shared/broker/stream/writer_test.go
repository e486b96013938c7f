package stream

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// broken fails every command once it is told to, at once.
type broken struct{ failing, calls atomic.Int64 }

func (b *broken) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *broken) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if b.failing.Load() == 0 {
			return next(ctx, cmd)
		}
		b.calls.Add(1)
		err := &net.OpError{Op: "dial", Err: errors.New("refused by the test")}
		cmd.SetErr(err)
		return err
	}
}

func (b *broken) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// hungry always wants more.
type hungry struct{ w *Writer }

func (h hungry) Wants(map[string]bool) []Want { return []Want{{Trigger: "t", Count: 1}} }

func (h hungry) Claimed(_ Want, _ []*Entry, more bool) {
	if more {
		h.w.Kick()
	}
}

// A Redis that is away is not asked over and over for the sake of claims.
func TestClaimsWaitForRedis(t *testing.T) {
	t.Parallel()
	store, client := open(t, servertest.Miniredis(t))
	hook := &broken{}
	store.rdb.AddHook(hook)
	b := Broker{"n", "b"}
	registered, err := store.Register(t.Context(), b, 1, RouteSet{Triggers: []Registration{registration("t", "x")}})
	require.NoError(t, err)
	w := registered.Partitions[0].NewWriter("c", slog.New(slog.DiscardHandler), func(context.Context) error { return nil })
	defer w.Close(0)
	hook.failing.Store(1)
	w.SetClaimer(hungry{w})
	began := time.Now()
	w.Kick()
	require.Eventually(t, func() bool { return hook.calls.Load() >= 6 }, time.Minute, time.Millisecond)
	require.Greater(t, time.Since(began), 100*time.Millisecond) // a busy machine only makes it longer

	// It goes on once Redis is there.
	claimed := w.p.keys.queue("t")
	hook.failing.Store(0)
	_, err = w.Publish(t.Context(), false, message("1", "x"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		p, err := client.XPending(t.Context(), claimed, group).Result()
		return err == nil && p.Count == 1
	}, time.Minute, 5*time.Millisecond)
}
