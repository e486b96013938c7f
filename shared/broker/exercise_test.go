package broker

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestMiniredis(t *testing.T) {
	t.Parallel()
	exercise(t, servertest.Miniredis)
}

func TestRedis(t *testing.T) {
	t.Parallel()
	exercise(t, servertest.Redis)
}

// Every script and pipeline keeps to the keys of one slot: in a Redis Cluster
// others are refused.
func TestCluster(t *testing.T) {
	t.Parallel()
	url := servertest.Cluster(t)
	exercise(t, func(testing.TB) string { return url })
}

// exercise is what the broker promises on every kind of Redis.
func exercise(t *testing.T, open func(testing.TB) string) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *bundle){
		"delivers":           exerciseDelivers,
		"deduplicates":       exerciseDeduplicates,
		"filters":            exerciseFilters,
		"retries":            exerciseRetries,
		"retry survives":     exerciseRetrySurvives,
		"answers":            exerciseAnswers,
		"retry after":        exerciseRetryAfter,
		"reply":              exerciseReply,
		"reply before ack":   exerciseReplyBeforeAck,
		"loop ends":          exerciseLoopEnds,
		"dead letter sink":   exerciseDeadLetterSink,
		"dead letter pages":  exerciseDeadLetterPages,
		"large dead letters": exerciseLargeDeadLetters,
		"dead letter list":   exerciseDeadLetterList,
		"takeover":           exerciseTakeover,
		"slow is not stolen": exerciseSlowIsNotStolen,
		"drain":              exerciseDrain,
		"apply":              exerciseApply,
		"replay":             exerciseReplay,
		"pause":              exercisePause,
		"trim":               exerciseTrim,
		"cap":                exerciseCap,
		"lost group":         exerciseLostGroup,
		"corrupt entry":      exerciseCorrupt,
		"newer version":      exerciseNewerVersion,
		"newer at first":     exerciseNewerAtFirst,
		"large retry":        exerciseRetryOfALargeEvent,
		"batches":            exerciseBatches,
		"order":              exerciseOrder,
		"isolation":          exerciseIsolation,
		"sink refuses":       exerciseSinkRefuses,
		"absence":            exerciseAbsence,
		"reply keeps id":     exerciseReplyKeepsID,
		"room for replies":   exerciseRoomForReplies,
		"removal":            exerciseRemoval,
		"removal by another": exerciseRemovalByAnother,
		"removal of paused":  exerciseRemovalWhilePaused,
		"outcomes":           exerciseOutcomes,
		"long order":         exerciseLongOrder,
		"large events":       exerciseLargeEvents,
		"invalid trigger":    exerciseInvalidTrigger,
		"older set":          exerciseOlderSet,
		"more partitions":    exerciseMorePartitions,
		"instance":           exerciseInstance,
		"immediate retries":  exerciseImmediateRetries,
		"partitions":         exercisePartitions,
		"poison":             exercisePoison,
		"older copy":         exerciseOlderCopy,
		"queue is gone":      exerciseQueueIsGone,
		"ordered replay":     exerciseOrderedReplay,
		"heartbeats ran out": exerciseAllHeartbeatsRunOut,
		"unreachable":        exerciseUnreachable,
		"what is added":      exerciseWhatIsAdded,
		"hold":               exerciseHold,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, setup(t, open(t)))
		})
	}
}

func exerciseDelivers(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	n := b.start(b.trigger("all", s))
	n.publish(http.StatusAccepted, "1",
		"Ce-Time", "2026-01-02T03:04:05.678+01:00", "Ce-Subject", "a%20b", "Ce-Myext", "50%",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Ce-Knativebrokerttl", "7")
	d := s.next(t)
	require.JSONEq(t, `{"n":1}`, string(d.body))
	want := map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/test", "Ce-Type": "test.happened",
		"Ce-Time": "2026-01-02T03:04:05.678+01:00", "Ce-Subject": "a%20b", "Ce-Myext": "50%",
		"Content-Type": "application/json", "Prefer": "reply", "Ce-Knativebrokerttl": "",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	for k, v := range want {
		require.Equal(t, v, d.header.Get(k), k)
	}
	b.settled("all")
	s.none(t)
}

func exerciseDeduplicates(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	n := b.start(b.trigger("all", s))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { n.publish(http.StatusAccepted, "same") })
	}
	wg.Wait()
	n.publish(http.StatusAccepted, "other")
	got := map[string]int{}
	got[s.next(t).id()]++
	got[s.next(t).id()]++
	require.Equal(t, map[string]int{"same": 1, "other": 1}, got)
	b.settled("all")
	s.none(t)
}

func exerciseFilters(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	n := b.start(b.filtered("even", s, `{"parity":"even"}`))
	for i := range 10 {
		n.publish(http.StatusAccepted, fmt.Sprint(i), "Ce-Parity", []string{"even", "odd"}[i%2])
	}
	for range 5 {
		require.Equal(t, "even", s.next(t).header.Get("Ce-Parity"))
	}
	b.settled("even")
	s.none(t)
}

// What a dead process had read is taken over.
func exerciseTakeover(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	tr := b.trigger("t", s)
	n := b.serve(tr) // takes events, delivers none
	for _, id := range ids(100) {
		n.publish(http.StatusAccepted, id)
	}
	read, err := b.rdb.XReadGroup(t.Context(), &redis.XReadGroupArgs{
		Group: "d", Consumer: "killed", Streams: []string{b.key(0, "q:t"), ">"}, Count: 60, Block: -1,
	}).Result()
	require.NoError(t, err)
	require.Len(t, read[0].Messages, 60)
	b.start(tr)
	got := map[string]int{}
	for range 100 {
		got[s.next(t).id()]++
	}
	require.Len(t, got, 100)
	b.settled("t")
	s.none(t)
}

// A handler slower than the idle time is not given to another process.
func exerciseSlowIsNotStolen(t *testing.T, b *bundle) {
	gate, release := hold()
	defer release()
	s := subscribe(t, func(http.ResponseWriter, delivery) { <-gate })
	tr := b.trigger("t", s)
	one, two := b.start(tr), b.start(tr)
	one.publish(http.StatusAccepted, "1")
	s.next(t)
	// Heartbeats come at a third of the idle time: ten of them on, others have
	// looked for dead consumers several times.
	beats, last := 0, time.Duration(0)
	eventually(t, "ten heartbeats", func() bool {
		left, err := b.rdb.PTTL(t.Context(), b.key(0, "alive:"+two.srv.consumer)).Result()
		require.NoError(t, err)
		if left > last {
			beats++
		}
		last = left
		return beats > 10
	})
	release()
	b.settled("t")
	s.none(t)
}

// At the end deliveries in flight finish, and what was read ahead goes to others
// at once.
func exerciseDrain(t *testing.T, b *bundle) {
	gate, release := hold()
	defer release()
	slow := subscribe(t, func(http.ResponseWriter, delivery) { <-gate })
	b.cfg.ClaimIdle = time.Hour // only what is requeued can be taken over
	tr := b.trigger("t", slow)
	tr.Parallelism = 2
	n := b.start(tr)
	for _, id := range ids(10) {
		n.publish(http.StatusAccepted, id)
	}
	slow.next(t)
	slow.next(t)
	stopped := make(chan struct{})
	go func() { n.stop(); close(stopped) }()
	eventually(t, "stopping", func() bool {
		n.srv.mu.Lock()
		defer n.srv.mu.Unlock()
		return n.srv.start == nil
	})
	release()
	receive(t, stopped)
	b.start(tr)
	got := map[string]bool{}
	for range 8 {
		got[slow.next(t).id()] = true
	}
	require.Len(t, got, 8)
	b.settled("t")
	slow.none(t)
}

func exerciseIsolation(t *testing.T, b *bundle) {
	gate, release := hold()
	defer release()
	hung, quick := subscribe(t, func(http.ResponseWriter, delivery) { <-gate }), subscribe(t, nil)
	slow := b.trigger("hung", hung)
	slow.Parallelism = 1
	n := b.start(slow, b.trigger("quick", quick))
	for _, id := range ids(200) {
		n.publish(http.StatusAccepted, id)
		require.Equal(t, id, quick.next(t).id())
	}
	b.settled("quick")
	b.cfg.DrainTimeout = 0
}

func exercisePartitions(t *testing.T, b *bundle) {
	b.cfg.Partitions = 4
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	for _, id := range ids(100) {
		n.publish(http.StatusAccepted, id, "Ce-Partitionkey", id)
		n.publish(http.StatusAccepted, id, "Ce-Partitionkey", id)
	}
	got := map[string]int{}
	for range 100 {
		got[s.next(t).id()]++
	}
	require.Len(t, got, 100)
	b.settled("t")
	s.none(t)
	used := 0
	for p := range 4 {
		l, err := b.rdb.XLen(t.Context(), b.key(p, "history")).Result()
		require.NoError(t, err)
		if l > 0 {
			used++
		}
	}
	require.Equal(t, 4, used)
}

// Processes come and go; what they leave in a group goes, too, but not with
// entries that nobody has taken over. Only real Redis: miniredis, which dies with
// its process, does not say when a consumer was heard of.
func TestDeadConsumers(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t))
	s := subscribe(t, nil)
	tr := b.trigger("t", s)
	n := b.serve(tr)
	n.publish(http.StatusAccepted, "1")
	read := func(consumer string) error {
		return b.rdb.XReadGroup(t.Context(), &redis.XReadGroupArgs{
			Group: "d", Consumer: consumer, Streams: []string{b.key(0, "q:t"), ">"}, Count: 1, Block: -1,
		}).Err()
	}
	require.NoError(t, read("killed"))
	require.ErrorIs(t, read("idle"), redis.Nil)
	b.start(tr)
	require.Equal(t, "1", s.next(t).id())
	eventually(t, "the dead are gone", func() bool { return b.info("t").Consumers == 1 })
}
