package broker

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// One broker spreads over a Cluster: its partitions lie on all nodes, and what is
// done with a Trigger is done on each.
func TestClusterPartitions(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Cluster(t))
	b.broker.Name = "spread" // always the same slots; the Cluster is the test's own
	b.cfg.Partitions = 12
	cluster := b.rdb.(*redis.ClusterClient)
	nodes := map[string]bool{}
	for p := range b.cfg.Partitions {
		node, err := cluster.MasterForKey(t.Context(), b.key(p, "meta"))
		require.NoError(t, err)
		nodes[node.Options().Addr] = true
	}
	require.Len(t, nodes, 3)

	const events = 100
	var broken atomic.Bool
	broken.Store(true)
	all := subscribe(t, nil)
	picky := subscribe(t, func(w http.ResponseWriter, d delivery) {
		if broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	retried := b.trigger("retried", picky)
	retried.Delivery = Delivery{Retry: 1, BackoffDelay: 50 * time.Millisecond}
	n := b.start(b.trigger("all", all), retried)
	require.NoError(t, n.srv.Check(t.Context()))
	for _, id := range ids(events) {
		n.publish(http.StatusAccepted, id, "Ce-Partitionkey", id)
		n.publish(http.StatusAccepted, id, "Ce-Partitionkey", id) // once in its partition
	}
	collect := func(s *subscriber, want, each int) {
		t.Helper()
		got := map[string]int{}
		for range want * each {
			got[s.next(t).id()]++
		}
		require.Len(t, got, want)
	}
	collect(all, events, 1)
	collect(picky, events, 2)
	eventually(t, "dead letters", func() bool { return b.info("retried").DeadLetters == events })

	used := 0
	streams, err := b.inspector.Streams(t.Context())
	require.NoError(t, err)
	for _, s := range streams {
		if s.Broker == b.broker.Name && s.Entries > 0 {
			used++
		}
	}
	require.Equal(t, b.cfg.Partitions, used)

	broken.Store(false)
	letters := b.deadLetters()
	require.Len(t, letters, events)
	for _, l := range letters[:90] {
		require.NoError(t, b.inspector.Redrive(t.Context(), l.ID))
	}
	for _, l := range letters[90:] {
		require.NoError(t, b.inspector.Discard(t.Context(), l.ID))
	}
	collect(picky, 90, 1)
	b.settled("retried")
	require.Empty(t, b.deadLetters())

	ns, name := b.broker.Namespace, b.broker.Name
	require.NoError(t, b.inspector.ReplayFrom(t.Context(), ns, name, "all", time.Now().Add(-time.Hour)))
	collect(all, events, 1)
	b.settled("all")
	n.apply() // queues go on every node
	for p := range b.cfg.Partitions {
		eventually(t, "the queue is deleted", func() bool { return b.rdb.Exists(t.Context(), b.key(p, "q:all")).Val() == 0 })
	}

	b.cfg.WaitReplicas = 1 // which its nodes do not have
	n = b.serve()
	var answers sync.WaitGroup // each comes only when WAIT has given up
	for _, id := range ids(b.cfg.Partitions) {
		answers.Go(func() { assert.Equal(t, http.StatusServiceUnavailable, n.post(id+" alone").StatusCode) })
	}
	answers.Wait()
}

// An address of the wrong kind is told at the start.
func TestMisnamedRedis(t *testing.T) {
	t.Parallel()
	cluster := servertest.Cluster(t)
	one, _, _ := strings.Cut(cluster, "?")
	failover := servertest.StartFailover(t)
	sentinel, _, _ := strings.Cut(failover.URL, "?")
	for url, hint := range map[string]string{one: "?addr=", sentinel: "?master_name=", cluster: "", failover.URL: ""} {
		client, err := redisclient.New(url)
		require.NoError(t, err)
		srv, err := New(DefaultConfig(), client, nil, quiet())
		require.NoError(t, err)
		err = srv.Check(t.Context())
		if hint == "" {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ErrMisnamed)
			require.ErrorContains(t, err, hint)
		}
		require.NoError(t, errors.Join(srv.Close(), client.Close()))
	}
}

// The primary is killed while events flow. Its Sentinel promotes a replica; until
// then there is 503. With a replica waited for, what was answered with 202 is
// there.
func TestFailover(t *testing.T) {
	t.Parallel()
	f := servertest.StartFailover(t)
	b := setup(t, f.URL)
	b.cfg.WaitReplicas = 1
	b.cfg.RedisTimeout = time.Second
	s := subscribe(t, nil)
	tr := b.trigger("t", s)
	n := b.start(tr)
	const events, publishers = 2000, 8
	var accepted, refused atomic.Int64
	next := make(chan string)
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			for id := range next {
				for {
					code := n.post(id).StatusCode
					if code == http.StatusAccepted {
						accepted.Add(1)
						break
					}
					if code != http.StatusServiceUnavailable {
						t.Errorf("event %s: answered %d", id, code)
						break
					}
					refused.Add(1)
					if !sleep(t.Context(), 20*time.Millisecond) {
						return
					}
				}
			}
		})
	}
	for i, id := range ids(events) {
		if i == events/3 {
			f.Primary.Kill()
		}
		next <- id
	}
	close(next)
	wg.Wait()
	require.EqualValues(t, events, accepted.Load())
	require.Positive(t, refused.Load(), "no one stored while there was no primary")

	got, duplicates := map[string]bool{}, 0
	for len(got) < events {
		if id := s.next(t).id(); got[id] {
			duplicates++
		} else {
			got[id] = true
		}
	}
	b.settled("t")
	t.Logf("%d events, %d answers of 503, %d duplicates", events, refused.Load(), duplicates)

	// The old primary comes back as a replica (as Sentinel has it be, after ten
	// seconds). With the last replicas gone nothing is acknowledged any more.
	promoted := f.Replicas[0]
	if role, err := promoted.Client.Info(t.Context(), "replication").Result(); err != nil || !strings.Contains(role, "role:master") {
		promoted = f.Replicas[1]
	}
	replicas := func(want string) func() bool {
		return func() bool {
			info, err := promoted.Client.Info(t.Context(), "replication").Result()
			return err == nil && strings.Contains(info, "connected_slaves:"+want)
		}
	}
	host, port, err := net.SplitHostPort(promoted.Addr)
	require.NoError(t, err)
	rejoin := func() {
		f.Primary.Restart(t)
		require.NoError(t, f.Primary.Client.ReplicaOf(t.Context(), host, port).Err())
	}
	rejoin()
	eventually(t, "the old primary follows the new one", replicas("2"))
	for _, r := range append(f.Replicas, f.Primary) {
		if r != promoted {
			r.Kill()
		}
	}
	require.Equal(t, http.StatusServiceUnavailable, n.post("alone").StatusCode)
	require.Equal(t, http.StatusServiceUnavailable, n.post("alone").StatusCode, "a repeat is stored, and still not replicated")
	rejoin()
	eventually(t, "service returns", func() bool { return n.post("alone").StatusCode == http.StatusAccepted })
	require.Equal(t, "alone", s.next(t).id())
	b.settled("t")
}
