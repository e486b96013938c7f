package broker

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

func exerciseApply(t *testing.T, b *bundle) {
	one, two := subscribe(t, nil), subscribe(t, nil)
	n := b.start(b.trigger("one", one))
	n.publish(http.StatusAccepted, "1")
	require.Equal(t, "1", one.next(t).id())

	n.apply(b.trigger("one", one), b.trigger("two", two)) // a new one sees what comes
	n.publish(http.StatusAccepted, "2")
	require.Equal(t, "2", one.next(t).id())
	require.Equal(t, "2", two.next(t).id())

	moved := b.trigger("one", two) // a changed one goes on where it was
	n.apply(moved)
	n.publish(http.StatusAccepted, "3")
	require.Equal(t, "3", two.next(t).id())
	eventually(t, "a removed trigger's queue is deleted", func() bool {
		left, err := b.rdb.Exists(t.Context(), b.key(0, "q:two")).Result()
		require.NoError(t, err)
		return left == 0
	})

	history := b.trigger("history", two)
	history.StartFrom = "earliest"
	n.apply(moved, history)
	got := []string{two.next(t).id(), two.next(t).id(), two.next(t).id()}
	require.ElementsMatch(t, []string{"1", "2", "3"}, got)
	b.settled("one")
	b.settled("history")
	one.none(t)
	two.none(t)
	bad := Set{Brokers: []Broker{b.broker, {Namespace: "X"}}}
	require.Error(t, n.srv.Apply(t.Context(), bad))
	n.publish(http.StatusAccepted, "4") // and nothing was changed
	require.Equal(t, "4", two.next(t).id())
	require.Equal(t, "4", two.next(t).id())
}

func exerciseReplay(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	ns, name := b.broker.Namespace, b.broker.Name
	for _, id := range ids(3) {
		n.publish(http.StatusAccepted, id)
		require.Equal(t, id, s.next(t).id())
	}
	b.settled("t")
	require.NoError(t, b.inspector.ReplayFrom(t.Context(), ns, name, "t", time.Now().Add(-time.Hour)))
	for range 3 {
		s.next(t)
	}
	b.settled("t")
	// A time to come skips nothing.
	require.NoError(t, b.inspector.ReplayFrom(t.Context(), ns, name, "t", time.Now().Add(time.Hour)))
	n.publish(http.StatusAccepted, "last")
	require.Equal(t, "last", s.next(t).id())
	b.settled("t")
	s.none(t)
	require.ErrorIs(t, b.inspector.ReplayFrom(t.Context(), ns, name, "nobody", time.Now()), ErrNotFound)
}

func exercisePause(t *testing.T, b *bundle) {
	s, other := subscribe(t, nil), subscribe(t, nil)
	n := b.start(b.trigger("t", s), b.trigger("other", other))
	ns, name := b.broker.Namespace, b.broker.Name
	require.NoError(t, b.inspector.Pause(t.Context(), ns, name, "t"))
	require.ErrorIs(t, b.inspector.Pause(t.Context(), ns, name, "nobody"), ErrNotFound)
	eventually(t, "pause is noticed", func() bool { return n.paused("t") })
	n.publish(http.StatusAccepted, "1")
	other.next(t)
	b.settled("other")
	s.none(t)
	require.True(t, b.info("t").Paused)
	n.stop()
	n = b.start(b.trigger("t", s), b.trigger("other", other)) // a pause outlives the process
	n.publish(http.StatusAccepted, "2")
	other.next(t)
	b.settled("other")
	s.none(t)
	require.NoError(t, b.inspector.Resume(t.Context(), ns, name, "t"))
	s.next(t)
	s.next(t)
	b.settled("t")
}

// History goes by age and by bytes; what a queue holds does not depend on it.
func exerciseTrim(t *testing.T, b *bundle) {
	b.cfg.Retention = 0
	gate, release := hold()
	defer release()
	slow := subscribe(t, func(http.ResponseWriter, delivery) { <-gate })
	tr := b.trigger("slow", slow)
	tr.Parallelism = 1
	n := b.start(tr)
	for _, id := range ids(5) {
		n.publish(http.StatusAccepted, id)
	}
	eventually(t, "history is trimmed", func() bool {
		l, err := b.rdb.XLen(t.Context(), b.key(0, "history")).Result()
		require.NoError(t, err)
		return l == 0
	})
	release()
	for range 5 {
		slow.next(t)
	}
	b.settled("slow")
	require.Zero(t, b.rdb.XLen(t.Context(), b.key(0, "q:slow")).Val())
}

// At nine tenths of the cap of one queue publishers of what goes there get 503; others
// do not.
func exerciseCap(t *testing.T, b *bundle) {
	b.cfg.StreamCap = 20
	gate, release := hold()
	defer release()
	s, other := subscribe(t, func(http.ResponseWriter, delivery) { <-gate }), subscribe(t, nil)
	n := b.start(b.filtered("t", s, `{"kind":"a"}`), b.filtered("other", other, `{"kind":"b"}`))
	for _, id := range ids(18) {
		n.publish(http.StatusAccepted, id, "Ce-Kind", "a")
	}
	resp := n.post("too-many", "Ce-Kind", "a")
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	n.publish(http.StatusAccepted, "e0", "Ce-Kind", "a") // a repeat is stored already
	n.publish(http.StatusAccepted, "b1", "Ce-Kind", "b")
	require.Equal(t, "b1", other.next(t).id())
	n.publish(http.StatusAccepted, "urgent", "Ce-Kind", "a", "Priority", "u=1") // accepted work has room
	release()
	eventually(t, "room again", func() bool { return n.post("too-many", "Ce-Kind", "a").StatusCode == http.StatusAccepted })
	got := map[string]int{}
	for range 20 {
		got[s.next(t).id()]++
	}
	require.Len(t, got, 20)
}

// A flush takes stream and groups away; what comes after it flows.
func exerciseLostGroup(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	n.publish(http.StatusAccepted, "1")
	s.next(t)
	b.settled("t")
	require.NoError(t, b.rdb.Del(t.Context(), b.key(0, "q:t")).Err())
	for _, id := range []string{"2", "3"} {
		n.publish(http.StatusAccepted, id)
		require.Equal(t, id, s.next(t).id())
	}
}

func exerciseCorrupt(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	stream := b.key(0, "q:t")
	for _, v := range []string{"", "\x01", "\x00garbage", "\x01" + strings.Repeat("\xff", 100)} {
		require.NoError(t, b.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{"e", v}}).Err())
	}
	require.NoError(t, b.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{"other", "field"}}).Err())
	n.publish(http.StatusAccepted, "1")
	require.Equal(t, "1", s.next(t).id())
	b.settled("t")
	s.none(t)
	var letters []DeadLetter
	eventually(t, "nothing is acknowledged that is not kept", func() bool {
		letters = b.deadLetters()
		return len(letters) == 5
	})
	for _, l := range letters {
		require.Equal(t, "the stored event is corrupt", l.Reason)
		require.NoError(t, l.Event.Validate(), "a list of letters has a row for each")
	}
}

// While a version is rolled out that stores events in a new form, its processes and ours
// share the queues: what ours cannot read waits for theirs, in its place, and counts no
// attempt. Once it is in our form again, this process stands for theirs.
func exerciseNewerVersion(t *testing.T, b *bundle) {
	var well atomic.Bool
	s := subscribe(t, func(w http.ResponseWriter, _ delivery) {
		if !well.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	tr := b.trigger("t", s)
	tr.Ordered = true
	tr.Delivery = Delivery{Retry: 1000, BackoffDelay: time.Second, BackoffPolicy: BackoffLinear}
	n := b.start(tr)
	n.publish(http.StatusAccepted, "1", "Ce-Partitionkey", "k", "Ce-Large", strings.Repeat("x", bodyBytes))
	n.publish(http.StatusAccepted, "2", "Ce-Partitionkey", "k")
	require.Equal(t, "1", s.next(t).id())
	retry := func() Retry {
		all, err := b.inspector.Retries(t.Context(), b.broker.Namespace, b.broker.Name, "t", 10)
		require.NoError(t, err, "a list has a row for what cannot be read")
		if len(all) != 1 {
			return Retry{}
		}
		return all[0]
	}
	var first Retry
	eventually(t, "refused once", func() bool { first = retry(); return first.Attempts == 1 })
	key := b.key(0, "body:"+first.EntryID)
	body, err := b.rdb.Get(t.Context(), key).Result()
	require.NoError(t, err)
	require.Equal(t, byte(1), body[0])
	require.NoError(t, b.rdb.Set(t.Context(), key, "\x7f"+body[1:], 0).Err())
	well.Store(true)

	var later Retry
	eventually(t, "left for others", func() bool { later = retry(); return later.Due.After(first.Due) })
	require.Equal(t, 1, later.Attempts)
	s.none(t)
	require.NoError(t, b.rdb.Set(t.Context(), key, body, 0).Err())
	require.Equal(t, "1", s.next(t).id())
	require.Equal(t, "2", s.next(t).id())
	b.settled("t")
	require.Zero(t, b.info("t").DeadLetters)
}

// A large event that had to wait for its turn is named in the list of retries.
func exerciseRetryOfALargeEvent(t *testing.T, b *bundle) {
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		if d.id() == "2" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	tr := b.trigger("t", s)
	tr.Ordered, tr.Delivery = true, Delivery{Retry: 1000, BackoffDelay: time.Minute}
	n := b.start(tr)
	require.NoError(t, b.inspector.Pause(t.Context(), b.broker.Namespace, b.broker.Name, "t"))
	eventually(t, "paused", func() bool { return n.paused("t") })
	for _, id := range []string{"1", "2"} {
		n.publish(http.StatusAccepted, id, "Ce-Partitionkey", "k", "Ce-Large", strings.Repeat("x", bodyBytes))
	}
	require.NoError(t, b.inspector.Resume(t.Context(), b.broker.Namespace, b.broker.Name, "t"))
	eventually(t, "the second has failed", func() bool { return b.info("t").Retries == 1 })
	all, err := b.inspector.Retries(t.Context(), b.broker.Namespace, b.broker.Name, "t", 10)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, "2", all[0].EventID)
}

// What a newer process has stored and none has tried to deliver yet leaves nothing behind
// once it is delivered.
func exerciseNewerAtFirst(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	n := b.serve(b.trigger("t", s))
	n.publish(http.StatusAccepted, "1", "Ce-Large", strings.Repeat("x", bodyBytes))
	queued, err := b.rdb.XRange(t.Context(), b.key(0, "q:t"), "-", "+").Result()
	require.NoError(t, err)
	require.Len(t, queued, 1)
	key := b.key(0, "body:"+queued[0].ID)
	body, err := b.rdb.Get(t.Context(), key).Result()
	require.NoError(t, err)
	require.NoError(t, b.rdb.Set(t.Context(), key, "\x7f"+body[1:], 0).Err())
	n.stop()
	b.start(b.trigger("t", s))
	eventually(t, "left for others", func() bool { return b.info("t").Retries == 1 })
	require.NoError(t, b.rdb.Set(t.Context(), key, body, 0).Err())
	require.Equal(t, "1", s.next(t).id())
	b.settled("t")
	left, err := b.rdb.HLen(t.Context(), b.key(0, "retry:t")).Result()
	require.NoError(t, err)
	require.Zero(t, left)
}

// An entry of somebody else's with an id of the year 2286 keeps nothing out that comes
// later. Only real Redis: nobody else writes to miniredis.
func TestForeignEntryIDs(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t))
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	require.NoError(t, b.rdb.XAdd(t.Context(),
		&redis.XAddArgs{Stream: b.key(0, "q:t"), ID: "9999999999999-1", Values: []string{"e", "x"}}).Err())
	for _, id := range []string{"1", "2"} {
		n.publish(http.StatusAccepted, id)
		require.Equal(t, id, s.next(t).id())
	}
	b.settled("t")
	s.none(t)
}
