package broker

import (
	"net/http"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker/inspect"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// Data of another layout is refused, not misread; what it has not delivered is told.
func TestOtherLayoutsAreRefused(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"redis": servertest.Redis(t), "miniredis": servertest.Miniredis(t)} {
		b := setup(t, url)
		ctx := t.Context()
		b.cfg.KeyPrefix = "layout-" + b.broker.Name + ":" // others must not meet it
		var err error
		b.inspector, err = inspect.New(b.rdb, b.cfg.KeyPrefix)
		require.NoError(t, err)
		// As version 1 left it: one event that nobody has read, a retry, a finished one.
		stream := b.key(0, "stream")
		require.NoError(t, b.rdb.SAdd(ctx, b.cfg.KeyPrefix+"brokers", b.broker.String()).Err())
		require.NoError(t, b.rdb.HSet(ctx, b.key(0, "meta"), "partitions", 1).Err())
		require.NoError(t, b.rdb.HSet(ctx, b.key(0, "triggers"), "t", "{}", "done", "{}").Err())
		id, err := b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []string{"e", "x"}}).Result()
		require.NoError(t, err)
		require.NoError(t, b.rdb.XGroupCreate(ctx, stream, "t", "0").Err())
		require.NoError(t, b.rdb.XGroupCreate(ctx, stream, "done", id).Err())
		require.NoError(t, b.rdb.ZAdd(ctx, b.key(0, "t:t:due"), redis.Z{Score: 1, Member: "1-0"}).Err())

		srv, err := New(b.cfg, b.rdb, nil, quiet())
		require.NoError(t, err)
		set := Set{Brokers: []Broker{b.broker}}
		require.ErrorIs(t, srv.Apply(ctx, set), ErrLayout, name)
		left, err := b.inspector.Backlogs(ctx)
		require.NoError(t, err)
		require.Len(t, ofBroker(left, b.broker), 1, name)
		require.EqualValues(t, 2, ofBroker(left, b.broker)["t"], name)

		keys, err := b.rdb.Keys(ctx, b.key(0, "*")).Result()
		require.NoError(t, err)
		require.NoError(t, b.rdb.Del(ctx, keys...).Err())
		require.NoError(t, srv.Apply(ctx, set), name)
		require.NoError(t, b.rdb.HSet(ctx, b.key(0, "meta"), "layout", "3").Err())
		require.ErrorIs(t, srv.Apply(ctx, set), ErrLayout, "of a later version")
		require.NoError(t, srv.Close())
	}
}

func TestBacklogs(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t))
	s := subscribe(t, nil)
	n := b.serve(b.trigger("t", s)) // delivers nothing
	n.publish(http.StatusAccepted, "1")
	left, err := b.inspector.Backlogs(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, ofBroker(left, b.broker)["t"])
	b.start(b.trigger("t", s))
	s.next(t)
	b.settled("t")
	left, err = b.inspector.Backlogs(t.Context())
	require.NoError(t, err)
	require.Empty(t, ofBroker(left, b.broker))
}
