package redisclient

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestUnavailable(t *testing.T) {
	t.Parallel()
	client, err := New(servertest.Redis(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	reply := func(text string) error {
		return client.Eval(t.Context(), "return redis.error_reply(ARGV[1])", nil, text).Err()
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	away, err := New("redis://" + closed.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, away.Close()) }()
	ended, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	for name, c := range map[string]struct {
		err                  error
		unavailable, refusal bool
	}{
		"none":           {nil, false, false},
		"no value":       {client.Get(t.Context(), "nothing-has-this-name").Err(), false, false},
		"full":           {reply("OOM command not allowed"), true, false},
		"crowded":        {reply("ERR max number of clients reached"), true, false},
		"a group":        {reply("BUSYGROUP Consumer Group name already exists"), false, true},
		"loading":        {reply("LOADING the dataset"), true, false},
		"read-only":      {reply("READONLY You can't write"), true, false},
		"wrong type":     {reply("WRONGTYPE Operation"), false, true},
		"of a script":    {reply("LOST by another"), false, true},
		"nobody listens": {away.Ping(t.Context()).Err(), true, false},
		"too late":       {client.Ping(ended).Err(), true, false},
		"cut off":        {fmt.Errorf("read: %w", io.EOF), true, false},
		"wrapped":        {fmt.Errorf("enter: %w", reply("OOM command not allowed")), true, false},
		"no pool":        {redis.ErrPoolTimeout, true, false},
		"not of Redis":   {io.ErrClosedPipe, false, false},
	} {
		require.Equal(t, c.unavailable, Unavailable(c.err), "%s: %v", name, c.err)
		require.Equal(t, c.refusal, Refusal(c.err), "%s: %v", name, c.err)
	}
}
