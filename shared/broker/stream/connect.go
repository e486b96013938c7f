package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// clone opens a client of its own on the servers of c, so that the broker's
// timeouts hold whatever the caller set, and readers, which sit in BLOCK, take
// no connection from the rest. A kind of client it does not know is shared.
// broken is called when a connection fails in use.
func clone(c redis.UniversalClient, timeout time.Duration, pool int, broken func()) (redis.UniversalClient, bool) {
	switch c := c.(type) {
	case *redis.Client:
		o := *c.Options()
		o.Dialer = watched(o.Dialer, broken)
		o.DialTimeout = min(timeout, time.Second)
		o.ReadTimeout, o.WriteTimeout = timeout, timeout
		o.PoolTimeout = timeout
		o.ContextTimeoutEnabled = true
		o.MaxRetries = 1
		o.MinRetryBackoff, o.MaxRetryBackoff = 8*time.Millisecond, 64*time.Millisecond
		o.DialerRetries = 1               // our loops and callers repeat, with their own waits
		o.PushNotificationProcessor = nil // belongs to the client it came from
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		o.PoolSize = pool
		o.MinIdleConns, o.MaxActiveConns = 0, 0
		return redis.NewClient(&o), true
	case *redis.ClusterClient:
		o := *c.Options()
		o.DialTimeout = min(timeout, time.Second)
		if o.Dialer == nil {
			o.Dialer = redis.NewDialer(&redis.Options{DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig})
		}
		o.Dialer = watched(o.Dialer, broken)
		o.ReadTimeout, o.WriteTimeout = timeout, timeout
		o.PoolTimeout = timeout
		o.ContextTimeoutEnabled = true
		o.DialerRetries = 1
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		o.PoolSize = pool
		o.MinIdleConns, o.MaxActiveConns = 0, 0
		return redis.NewClusterClient(&o), true
	}
	return c, false
}

// dialer opens a connection.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// watched calls broken when a connection fails in use, before the client can repeat the
// call. It repeats by itself, on any connection it has: nothing else shows that the first
// was done and its answer lost.
func watched(dial dialer, broken func()) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		w := watchedConn{conn, broken}
		if raw, ok := conn.(syscall.Conn); ok { // how the client finds idle ones that were closed
			return watchedSocket{w, raw}, nil
		}
		return w, nil
	}
}

type watchedConn struct {
	net.Conn

	broken func()
}

func (c watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.broken()
	}
	return n, err
}

type watchedSocket struct {
	watchedConn
	syscall.Conn
}

// eachNode does it on the one server, or on every primary of a Redis Cluster.
func eachNode(ctx context.Context, c redis.UniversalClient, do func(context.Context, redis.UniversalClient) error) error {
	if cluster, ok := c.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return do(ctx, node) })
	}
	return do(ctx, c)
}

func ping(ctx context.Context, c redis.UniversalClient) error {
	return eachNode(ctx, c, func(ctx context.Context, node redis.UniversalClient) error {
		if err := node.Ping(ctx).Err(); err != nil {
			return fmt.Errorf("ping redis: %w", err)
		}
		return nil
	})
}

// ErrMisnamed is wrapped by Check where the address is of another kind than the
// server: one node of a Redis Cluster refuses the keys of the others, and a
// Sentinel holds no keys.
var ErrMisnamed = errors.New("REDIS_URL does not fit the server")

// checkKind compares the client with what the server says it is. A server that
// does not say (miniredis) is taken as it is.
func checkKind(ctx context.Context, c redis.UniversalClient) error {
	if _, ok := c.(*redis.ClusterClient); ok {
		return nil // a server that is in no Cluster does not answer to it at all
	}
	info, err := c.Info(ctx, "server").Result()
	var refused redis.Error
	if errors.As(err, &refused) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read redis mode: %w", err)
	}
	switch {
	case strings.Contains(info, "redis_mode:cluster"):
		return fmt.Errorf("%w: it is a node of a Redis Cluster, name two or more of them: redis://host:6379?addr=host2:6379", ErrMisnamed)
	case strings.Contains(info, "redis_mode:sentinel"):
		return fmt.Errorf("%w: it is a Sentinel, say of what: redis://host:26379?master_name=NAME", ErrMisnamed)
	}
	return nil
}

// ErrNotDurable is wrapped by Check where Redis may lose what it acknowledged.
var ErrNotDurable = errors.New("redis is not durable")

// checkDurability asks Redis, every node of it, whether a write it has answered
// survives a crash. A server that does not let CONFIG be read (miniredis, some
// hosted ones) is not durable as far as can be told.
func checkDurability(ctx context.Context, c redis.UniversalClient) error {
	want := [][2]string{{"appendonly", "yes"}, {"appendfsync", "always"}, {"maxmemory-policy", "noeviction"}}
	return eachNode(ctx, c, func(ctx context.Context, node redis.UniversalClient) error {
		var bad []string
		for _, w := range want {
			got, err := node.ConfigGet(ctx, w[0]).Result()
			if err != nil {
				var refused redis.Error
				if errors.As(err, &refused) {
					return fmt.Errorf("%w: its configuration cannot be read: %w", ErrNotDurable, err)
				}
				return fmt.Errorf("read redis configuration: %w", err)
			}
			if got[w[0]] != w[1] {
				bad = append(bad, w[0]+" is "+strconv.Quote(got[w[0]])+", not "+strconv.Quote(w[1]))
			}
		}
		if len(bad) > 0 {
			return fmt.Errorf("%w: %s", ErrNotDurable, strings.Join(bad, ", "))
		}
		return nil
	})
}
