package wait_test

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

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// TestOnACluster repeats the tests of this package on a Redis Cluster of three
// masters: a script whose keys lie in different slots is refused there.
func TestOnACluster(t *testing.T) {
	clusterURL = startCluster(t)
	for name, test := range map[string]func(*testing.T){
		"accept": TestAcceptOnce, "attempt": TestOneAttemptIsInCharge,
		"due": TestDueCostsWhatIsDue, "claims": TestClaims, "vanished": TestAClaimWhoseWinnerVanished, "watch": TestWatch, "trace": TestTraceOutlivesTheWait,
		"budget": TestBudget, "await": TestAwaitBudget, "gate": TestGate, "model": TestModel,
	} {
		t.Run(name, test)
	}
}

// clusterURL is written before any test reads it: those on the cluster run
// within TestOnACluster.
var clusterURL string

func onCluster(t *testing.T) bool { return strings.HasPrefix(t.Name(), "TestOnACluster/") }

type node struct {
	client    *redis.Client
	port, bus string
}

// startCluster starts three servers on free ports and shares the slots out.
func startCluster(t *testing.T) string {
	t.Helper()
	servertest.Redis(t) // skip, or fail, where there is none
	ctx := t.Context()
	var nodes []node
	for range 3 {
		n := node{port: freePort(t), bus: freePort(t)}
		dir := filepath.Join(t.TempDir(), "redis")
		server, err := servers.StartRedis(ctx, dir, "--appendonly", "no", "--port", n.port, "--bind", "127.0.0.1", "--cluster-enabled", "yes",
			"--cluster-port", n.bus, "--cluster-node-timeout", "15000")
		require.NoError(t, err)
		t.Cleanup(server.Stop)
		opts, err := redis.ParseURL(server.URL)
		require.NoError(t, err)
		n.client = redis.NewClient(opts)
		t.Cleanup(func() { _ = n.client.Close() })
		nodes = append(nodes, n)
	}
	const slots = 16384
	var addrs []string
	for i, n := range nodes {
		require.NoError(t, n.client.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err())
		require.NoError(t, n.client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		addrs = append(addrs, "addr=127.0.0.1:"+n.port)
	}
	for _, n := range nodes[1:] {
		require.NoError(t, nodes[0].client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", n.port, n.bus).Err())
	}
	for _, n := range nodes {
		require.Eventually(t, func() bool { return agrees(ctx, n.client) == nil }, 30*time.Second, 50*time.Millisecond)
	}
	return fmt.Sprintf("redis://127.0.0.1:%s?%s", nodes[0].port, strings.Join(addrs[1:], "&"))
}

func agrees(ctx context.Context, c *redis.Client) error {
	info, err := c.ClusterInfo(ctx).Result()
	if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_size:3")) {
		err = errors.New("the cluster is not complete")
	}
	return err
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
