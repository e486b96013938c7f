package broker

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
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
	groups, err := b.rdb.XInfoGroups(t.Context(), newPartition(b.broker, 0).stream()).Result()
	require.NoError(t, err)
	require.Len(t, groups, 1, "a removed trigger's group is destroyed")

	history := b.trigger("history", two)
	history.StartFrom = "earliest"
	n.apply(moved, history)
	got := []string{two.next(t).id(), two.next(t).id(), two.next(t).id()}
	require.ElementsMatch(t, []string{"1", "2", "3"}, got)
	b.settled("one")
	b.settled("history")
	one.none(t)
	two.none(t)
	bad := Set{Brokers: []Broker{b.broker}, Triggers: []Trigger{{Name: "X"}}}
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
	streams, err := b.inspector.Streams(t.Context())
	require.NoError(t, err)
	for _, st := range streams {
		if st.Broker == name {
			require.NoError(t, b.inspector.ReplayAfter(t.Context(), ns, name, "t", st.FirstID))
		}
	}
	s.next(t)
	s.next(t)
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
	eventually(t, "pause is noticed", func() bool {
		for _, sub := range n.srv.running() {
			if sub.trigger.Name == "t" {
				return sub.paused.Load()
			}
		}
		return false
	})
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

func exerciseTrim(t *testing.T, b *bundle) {
	b.cfg.Retention = 0
	gate, release := hold()
	defer release()
	quick, slow := subscribe(t, nil), subscribe(t, func(http.ResponseWriter, delivery) { <-gate })
	n := b.start(b.trigger("quick", quick), b.trigger("slow", slow))
	length := func() int64 {
		l, err := b.rdb.XLen(t.Context(), newPartition(b.broker, 0).stream()).Result()
		require.NoError(t, err)
		return l
	}
	for _, id := range ids(5) {
		n.publish(http.StatusAccepted, id)
		quick.next(t)
		slow.next(t)
	}
	b.settled("quick")
	n.srv.clean(t.Context())
	require.EqualValues(t, 5, length(), "what one trigger has not acknowledged stays")
	release()
	b.settled("slow")
	eventually(t, "trimmed", func() bool { return length() == 0 })
}

func exerciseCap(t *testing.T, b *bundle) {
	b.cfg.StreamCap = 20
	gate, release := hold()
	defer release()
	s := subscribe(t, func(http.ResponseWriter, delivery) { <-gate })
	n := b.start(b.trigger("t", s))
	for _, id := range ids(20) {
		n.publish(http.StatusAccepted, id)
	}
	resp := n.post("too-many")
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	n.publish(http.StatusAccepted, "e0") // a repeat is stored already
	release()
	eventually(t, "room again", func() bool { return n.post("too-many").StatusCode == http.StatusAccepted })
	got := map[string]int{}
	for range 21 {
		got[s.next(t).id()]++
	}
	require.Len(t, got, 21)
}

// A flush takes stream and groups away; what comes after it flows.
func exerciseLostGroup(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	n.publish(http.StatusAccepted, "1")
	s.next(t)
	b.settled("t")
	require.NoError(t, b.rdb.Del(t.Context(), newPartition(b.broker, 0).stream()).Err())
	for _, id := range []string{"2", "3"} {
		n.publish(http.StatusAccepted, id)
		require.Equal(t, id, s.next(t).id())
	}
}

func exerciseCorrupt(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	stream := newPartition(b.broker, 0).stream()
	for _, v := range []string{"", "\x01", "\x02garbage", strings.Repeat("\xff", 100)} {
		require.NoError(t, b.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{"e", v}}).Err())
	}
	require.NoError(t, b.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{"other", "field"}}).Err())
	n.publish(http.StatusAccepted, "1")
	require.Equal(t, "1", s.next(t).id())
	b.settled("t")
	s.none(t)
}
