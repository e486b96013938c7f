package stream

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// A Trigger that comes back amid its purge finds no order key without a head: what is
// published for any of them is in the queue.
func TestReturnAmidPurge(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		const keys = 30
		store, client := open(t, url)
		b := Broker{"n", "b"}
		ordered := registration("t", "x")
		ordered.Record.Ordered = true
		set := RouteSet{Triggers: []Registration{ordered}}
		r, err := store.Register(t.Context(), b, 1, set)
		require.NoError(t, err)
		p := r.Partitions[0]
		w := p.NewWriter("c", slog.New(slog.DiscardHandler), func(context.Context) error { return nil })
		defer w.Close(0)
		publish := func(id string, n int) {
			m := message(id, "x")
			m.SetText("partitionkey", fmt.Sprint(n))
			_, err := w.Publish(t.Context(), false, m)
			require.NoError(t, err)
		}
		for i := range 3 * keys {
			publish(fmt.Sprint("old", i), i%keys)
		}
		_, err = store.Register(t.Context(), b, 1, RouteSet{})
		require.NoError(t, err)
		left, err := p.run(t.Context(), purgeScript, "t", 0, 10).Int()
		require.NoError(t, err)
		require.Zero(t, left, "there is more")
		_, err = store.Register(t.Context(), b, 1, set)
		require.NoError(t, err)
		require.Len(t, queueIDs(t, client, p, "t"), keys-10)
		for i := range keys {
			publish(fmt.Sprint("new", i), i)
		}
		require.Len(t, queueIDs(t, client, p, "t"), keys, "each key has a head")
		waiting, err := client.HGet(t.Context(), p.keys.of("waiting"), "t").Int()
		require.NoError(t, err)
		lists := 0
		for i := range keys {
			n, err := client.LLen(t.Context(), p.keys.of(fmt.Sprint("wait:t:", i))).Result()
			require.NoError(t, err)
			lists += int(n)
		}
		require.Equal(t, lists, waiting)
	})
}

// Any number of Triggers may come at once, also when Redis has lost them all.
func TestThousandsOfTriggersAtOnce(t *testing.T) {
	t.Parallel()
	store, _ := open(t, servertest.Redis(t))
	var set RouteSet
	for i := range 9000 {
		set.Triggers = append(set.Triggers, registration(fmt.Sprint("t", i), "x"))
	}
	r, err := store.Register(t.Context(), Broker{"n", "b"}, 1, set)
	require.NoError(t, err)
	require.Len(t, r.Partitions, 1)
}
