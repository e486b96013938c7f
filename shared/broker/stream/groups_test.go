package stream

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// longest remembers the longest command.
type longest struct{ args int }

func (l *longest) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *longest) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		l.args = max(l.args, len(cmd.Args()))
		return next(ctx, cmd)
	}
}

func (l *longest) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// One caller's thousand events are no commit of a thousand.
func TestOneCallersEventsAreSeveralCommits(t *testing.T) {
	t.Parallel()
	store, client := open(t, servertest.Miniredis(t))
	hook := &longest{}
	store.rdb.AddHook(hook)
	b := Broker{"n", "b"}
	registered, err := store.Register(t.Context(), b, 1, RouteSet{Triggers: []Registration{registration("t", "x")}})
	require.NoError(t, err)
	w := registered.Partitions[0].NewWriter("c", slog.New(slog.DiscardHandler), func(context.Context) error { return nil })
	defer w.Close(0)
	messages := make([]*cloudevent.Message, 1000)
	for i := range messages {
		messages[i] = message(fmt.Sprint(i), "x")
	}
	hook.args = 0
	stored, err := w.Publish(t.Context(), false, messages...)
	require.NoError(t, err)
	require.Len(t, stored, 1000)
	require.Less(t, hook.args, 6*groupWrites+32)
	n, err := client.XLen(t.Context(), w.p.keys.queue("t")).Result()
	require.NoError(t, err)
	require.EqualValues(t, 1000, n)
	again, err := w.Publish(t.Context(), false, messages...)
	require.NoError(t, err)
	for i, s := range again {
		require.True(t, s.Duplicate)
		require.Equal(t, stored[i].ID, s.ID, "each event has its own answer")
	}
}

func TestGroupsAreOfFewEventsAndBytes(t *testing.T) {
	t.Parallel()
	small, large := message("1", "x"), message("2", "x")
	large.Data = strings.Repeat("x", groupBytes/2+1)
	of := func(n int, m *cloudevent.Message) (out []*cloudevent.Message) {
		for range n {
			out = append(out, m)
		}
		return out
	}
	require.Equal(t, 7, groupOf(of(7, small)))
	require.Equal(t, groupWrites, groupOf(of(groupWrites, small)))
	require.Equal(t, groupWrites, groupOf(of(groupWrites+1, small)))
	require.Equal(t, 1, groupOf(of(3, large)))
	require.Equal(t, 1, groupOf(of(1, large)))
}
