package servertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers"
)

// Node is one redis-server of a Cluster or a Failover.
type Node struct {
	*servers.Redis

	Client *goredis.Client
	// Addr is host:port.
	Addr string
	port string
	dir  string
	args []string
}

func startNode(t testing.TB, args ...string) *Node {
	t.Helper()
	n := &Node{port: freePort(t), dir: filepath.Join(t.TempDir(), "redis")}
	n.Addr = net.JoinHostPort("127.0.0.1", n.port)
	n.args = append([]string{"--port", n.port, "--bind", "127.0.0.1"}, args...)
	n.Restart(t)
	t.Cleanup(func() { n.Stop() })
	n.Client = goredis.NewClient(&goredis.Options{Addr: n.Addr})
	t.Cleanup(func() { _ = n.Client.Close() })
	return n
}

// Restart starts the node again after Kill, on the files it had.
func (n *Node) Restart(t testing.TB) {
	t.Helper()
	var err error
	n.Redis, err = servers.StartRedis(context.Background(), n.dir, n.args...)
	require.NoError(t, err)
}

// Cluster starts a Redis Cluster of the test's own, three primaries on free
// ports, and gives its URL for connect.Redis.
func Cluster(t testing.TB) string {
	t.Helper()
	Redis(t) // skips, or fails, where there is none
	ctx := t.Context()
	const slots = 16384
	var nodes []*Node
	var bus, addrs []string
	for i := range 3 {
		port := freePort(t)
		n := startNode(t, "--cluster-enabled", "yes", "--cluster-port", port, "--cluster-node-timeout", "15000")
		require.NoError(t, n.Client.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err())
		require.NoError(t, n.Client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		nodes, bus, addrs = append(nodes, n), append(bus, port), append(addrs, "addr="+n.Addr)
	}
	for i, n := range nodes[1:] {
		require.NoError(t, nodes[0].Client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", n.port, bus[i+1]).Err())
	}
	for _, n := range nodes {
		require.Eventually(t, func() bool { return agrees(ctx, n.Client) == nil }, 30*time.Second, 50*time.Millisecond)
	}
	return fmt.Sprintf("redis://%s?%s", nodes[0].Addr, strings.Join(addrs[1:], "&"))
}

func agrees(ctx context.Context, c *goredis.Client) error {
	info, err := c.ClusterInfo(ctx).Result()
	if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_size:3")) {
		err = errors.New("the cluster is not complete")
	}
	return err
}

// Failover is a primary with two replicas, all append-only, and a Sentinel that
// promotes one when the primary has been silent for a second.
type Failover struct {
	// URL is for connect.Redis.
	URL string
	// Primary is the first one.
	Primary  *Node
	Replicas []*Node
}

// StartFailover starts one of the test's own.
func StartFailover(t testing.TB) *Failover {
	t.Helper()
	Redis(t) // skips, or fails, where there is none
	f := &Failover{Primary: startNode(t, "--repl-diskless-sync-delay", "0")}
	for range 2 {
		f.Replicas = append(f.Replicas, startNode(t, "--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1 "+f.Primary.port))
	}
	for _, r := range f.Replicas {
		require.Eventually(t, func() bool {
			info, err := r.Client.Info(t.Context(), "replication").Result()
			return err == nil && strings.Contains(info, "master_link_status:up")
		}, 30*time.Second, 20*time.Millisecond)
	}
	port := freePort(t)
	s, err := servers.StartSentinel(t.Context(), filepath.Join(t.TempDir(), "sentinel"), fmt.Sprintf(
		"port %s\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 %s 1\nsentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 10000\n",
		port, f.Primary.port))
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	sentinel := goredis.NewSentinelClient(&goredis.Options{Addr: net.JoinHostPort("127.0.0.1", port)})
	defer func() { _ = sentinel.Close() }()
	require.Eventually(t, func() bool { // it learns of replicas by asking the primary
		replicas, err := sentinel.Replicas(t.Context(), "main").Result()
		return err == nil && len(replicas) == len(f.Replicas)
	}, 30*time.Second, 20*time.Millisecond)
	f.URL = fmt.Sprintf("redis://127.0.0.1:%s?master_name=main", port)
	return f
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
