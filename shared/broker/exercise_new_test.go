package broker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// A sink that refuses an event for good is not asked again: the letter is kept, with
// what the sink said.
func exerciseSinkRefuses(t *testing.T, b *bundle) {
	s, sink := subscribe(t, status(http.StatusUnprocessableEntity)), subscribe(t, status(http.StatusBadRequest))
	tr := b.trigger("t", s)
	tr.Delivery.DeadLetterSink = sink.URL
	n := b.start(tr)
	n.publish(http.StatusAccepted, "1")
	eventually(t, "kept", func() bool { return len(b.deadLetters()) == 1 })
	b.settled("t")
	letter := b.deadLetters()[0]
	require.False(t, letter.Taken)
	require.Equal(t, http.StatusUnprocessableEntity, letter.Code)
	require.Equal(t, http.StatusBadRequest, letter.SinkCode)
	sink.next(t)
	sink.none(t)
}

// Nobody there is no refusal, where the Trigger says so: attempts are not counted
// until its age is reached. Without it they count.
func exerciseAbsence(t *testing.T, b *bundle) {
	var well atomic.Bool
	s := subscribe(t, func(w http.ResponseWriter, _ delivery) {
		if !well.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	gone, cut := subscribe(t, nil), subscribe(t, func(http.ResponseWriter, delivery) {
		if !well.Load() {
			panic(http.ErrAbortHandler) // as a proxy whose backend is gone
		}
	})
	gone.Close()
	patient, impatient, brief := b.trigger("patient", s), b.trigger("impatient", gone), b.trigger("brief", gone)
	behind := b.trigger("behind", cut)
	patient.Absence, behind.Absence = time.Hour, time.Hour
	brief.Absence = 300 * time.Millisecond
	n := b.start(patient, impatient, brief, behind)
	n.publish(http.StatusAccepted, "1")
	eventually(t, "the others are dead", func() bool { return len(b.deadLetters()) == 2 })
	for _, l := range b.deadLetters() {
		require.Equal(t, map[string]int{"impatient": http.StatusInternalServerError, "brief": http.StatusServiceUnavailable}[l.Trigger], l.Code)
	}
	s.next(t)
	eventually(t, "waits", func() bool { return b.info("patient").Retries == 1 })
	retries, err := b.inspector.Retries(t.Context(), b.broker.Namespace, b.broker.Name, "patient", 1)
	require.NoError(t, err)
	require.Zero(t, retries[0].Attempts)
	require.Positive(t, retries[0].Absent)
	well.Store(true)
	require.Equal(t, "1", s.next(t).id())
	b.settled("patient")
	b.settled("behind")
}

// Pages of dead letters miss none and repeat none, also where many died in the same
// millisecond: more than are read at once.
func exerciseDeadLetterPages(t *testing.T, b *bundle) {
	const letters = 250
	s := subscribe(t, status(http.StatusUnprocessableEntity))
	n := b.start(b.trigger("t", s))
	n.publish(http.StatusAccepted, "first")
	eventually(t, "one dead", func() bool { return len(b.deadLetters()) == 1 })
	first := b.deadLetters()[0]
	died := float64(first.Died.UnixMilli())
	fields, err := b.rdb.HGetAll(t.Context(), b.key(0, "dead:t")).Result()
	require.NoError(t, err)
	_, err = b.rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range letters { // as many more of that millisecond
			id := fmt.Sprintf("%d-%d", first.Died.Add(-time.Minute).UnixMilli(), i) // none is the first one's
			for k, v := range fields {
				p.HSet(t.Context(), b.key(0, "dead:t"), k[:2]+id, v)
			}
			p.ZAdd(t.Context(), b.key(0, "buried:t"), redis.Z{Score: died, Member: id})
		}
		return nil
	})
	require.NoError(t, err)
	seen := map[string]bool{}
	for q := (DeadLetterQuery{Namespace: b.broker.Namespace, Broker: b.broker.Name, Limit: 20}); ; {
		page, next, err := b.inspector.DeadLetters(t.Context(), q)
		require.NoError(t, err)
		for _, l := range page {
			require.False(t, seen[l.ID])
			seen[l.ID] = true
		}
		if q.Before = next; next == "" {
			break
		}
		require.Len(t, page, q.Limit)
	}
	require.Equal(t, letters+1, len(seen)) //nolint:testifylint // nobody wants to read them all
}

// Letters of a MiB each are listed a few at a time, so that no page needs the memory of
// all of them; pages miss none and repeat none all the same, over the lists of several
// Triggers. Look sees each of them whole, and takes off what is not to be kept.
func exerciseLargeDeadLetters(t *testing.T, b *bundle) {
	const letters, size = 45, 900_000
	s := subscribe(t, status(http.StatusUnprocessableEntity))
	n := b.start(b.trigger("t", s), b.trigger("u", s))
	data := `"` + strings.Repeat("x", size) + `"`
	for i := range letters {
		require.Equal(t, http.StatusAccepted, n.postData(fmt.Sprintf("e%d", i), data).StatusCode)
	}
	b.settled("t")
	b.settled("u")
	seen := map[string]bool{}
	pages, looked := 0, 0
	q := DeadLetterQuery{Namespace: b.broker.Namespace, Broker: b.broker.Name, Limit: 500, Look: func(l *DeadLetter) {
		require.Len(t, l.Event.Data(), len(data))
		looked += len(l.Event.Data())
		l.Event.DataEncoded = nil
	}}
	for {
		before := looked
		page, next, err := b.inspector.DeadLetters(t.Context(), q)
		require.NoError(t, err)
		require.Less(t, looked-before, 40<<20, "of the %d MB that there are", 2*letters*size/1_000_000)
		for _, l := range page {
			require.False(t, seen[l.ID])
			seen[l.ID] = true
			require.Empty(t, l.Event.Data())
		}
		pages++
		if q.Before = next; next == "" {
			break
		}
	}
	require.Len(t, seen, 2*letters)
	require.Greater(t, pages, 2)
}

// A retry that is due at once may be claimed before the answer to the commit that
// scheduled it is here: it is delivered all the same.
func exerciseImmediateRetries(t *testing.T, b *bundle) {
	b.cfg.ClaimIdle, b.cfg.RedisTimeout = time.Hour, time.Hour // nothing is found by a second look
	const events = 100
	var mu sync.Mutex
	seen := map[string]int{}
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		mu.Lock()
		defer mu.Unlock()
		if seen[d.id()]++; seen[d.id()] < 4 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	tr := b.trigger("t", s)
	tr.Delivery.Retry = 3
	n := b.start(tr)
	var all sync.WaitGroup
	for _, id := range ids(events) {
		all.Go(func() { n.publish(http.StatusAccepted, id) })
	}
	all.Wait()
	b.settled("t")
	require.Empty(t, b.deadLetters())
	mu.Lock()
	defer mu.Unlock()
	for _, id := range ids(events) {
		require.GreaterOrEqual(t, seen[id], 4, id)
	}
}

// A reply may keep id and source of the event that it answers, under another type;
// the same type would be the same event again.
func exerciseReplyKeepsID(t *testing.T, b *bundle) {
	sink := subscribe(t, nil)
	answer := func(kind string) func(w http.ResponseWriter, d delivery) {
		return func(w http.ResponseWriter, d delivery) {
			w.Header().Set("Ce-Specversion", "1.0")
			w.Header().Set("Ce-Id", d.id())
			w.Header().Set("Ce-Source", d.header.Get("Ce-Source"))
			w.Header().Set("Ce-Type", kind)
		}
	}
	asks, echo := subscribe(t, answer("test.answered")), subscribe(t, answer("test.happened"))
	n := b.start(b.filtered("asks", asks, `{"type":"test.happened"}`), b.filtered("echo", echo, `{"type":"test.happened"}`),
		b.filtered("answers", sink, `{"type":"test.answered"}`))
	n.publish(http.StatusAccepted, "1")
	require.Equal(t, "1", sink.next(t).id())
	for _, name := range []string{"asks", "echo", "answers"} {
		b.settled(name)
	}
	asks.next(t)
	asks.none(t)
	n.publish(http.StatusAccepted, "1", "Ce-Type", "test.answered") // a publisher's is a repeat, whatever its type
	b.settled("answers")
	sink.none(t)
}

// Replies have room where publishers have none.
func exerciseRoomForReplies(t *testing.T, b *bundle) {
	b.cfg.StreamCap = 10
	gate, release := hold()
	defer release()
	stuck := subscribe(t, func(http.ResponseWriter, delivery) { <-gate })
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		w.Header().Set("Ce-Specversion", "1.0")
		w.Header().Set("Ce-Id", "r"+d.id())
		w.Header().Set("Ce-Source", "/s")
		w.Header().Set("Ce-Type", "test.answered")
	})
	n := b.start(b.filtered("asks", s, `{"type":"test.happened"}`), b.filtered("stuck", stuck, `{"type":"test.answered"}`))
	for _, id := range ids(50) {
		eventually(t, "accepted", func() bool { return n.post(id).StatusCode == http.StatusAccepted })
	}
	b.settled("asks")
	require.Empty(t, b.deadLetters())
	i := b.info("stuck")
	require.EqualValues(t, 50, i.Lag+i.Pending)
	n.publish(http.StatusServiceUnavailable, "x", "Ce-Type", "test.answered")
}

// A Trigger that is away for a moment loses nothing; after the grace it is gone, and a
// new one of its name begins anew.
func exerciseRemoval(t *testing.T, b *bundle) {
	b.cfg.RemovalGrace = time.Hour
	gate, release := hold()
	defer release()
	s := subscribe(t, func(http.ResponseWriter, delivery) { <-gate })
	tr := b.trigger("t", s)
	tr.Parallelism = 1
	n := b.start(tr)
	for _, id := range ids(10) {
		n.publish(http.StatusAccepted, id)
	}
	s.next(t)
	n.apply()
	require.True(t, b.info("t").Removed)
	n.publish(http.StatusAccepted, "meanwhile")
	n.apply(tr)
	require.False(t, b.info("t").Removed)
	release()
	got := map[string]bool{}
	for len(got) < 10 { // and the first, which has been seen
		got[s.next(t).id()] = true
	}
	require.True(t, got["meanwhile"])
	b.settled("t")

	for _, id := range ids(10) { // the reader may find out about either change late
		n.apply()
		for _, p := range mustAll(t, n) {
			_, _, err := p.Purge(t.Context(), 0, nil)
			require.NoError(t, err)
		}
		n.publish(http.StatusAccepted, "gone-"+id)
		n.apply(tr)
		n.publish(http.StatusAccepted, "new-"+id)
		require.Equal(t, "new-"+id, s.next(t).id())
		b.settled("t")
	}
	s.none(t)
}

// What one process has in its configuration is not deleted for what another one, which
// was there for a moment, had not in its own.
func exerciseRemovalByAnother(t *testing.T, b *bundle) {
	b.cfg.RemovalGrace = time.Second
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	n.publish(http.StatusAccepted, "before")
	require.Equal(t, "before", s.next(t).id())
	b.serve().stop() // without the Trigger, and gone again
	require.True(t, b.info("t").Removed)
	for i := range 20 { // each waits for a round of housekeeping
		held := func() float64 {
			at, err := b.rdb.ZScore(t.Context(), b.key(0, "removed"), "t").Result()
			require.NoError(t, err)
			return at
		}
		last := held()
		eventually(t, "held", func() bool { return held() > last })
		id := fmt.Sprintf("e%d", i)
		n.publish(http.StatusAccepted, id)
		require.Equal(t, id, s.next(t).id())
	}
	n.apply(b.trigger("t", s))
	require.False(t, b.info("t").Removed)
	n.apply()
	eventually(t, "nobody serves it any more", func() bool {
		found, err := b.rdb.HExists(t.Context(), b.key(0, "routes"), "t").Result()
		require.NoError(t, err)
		return !found
	})
}

// That a Trigger was paused goes with it: a new one of its name is not.
func exerciseRemovalWhilePaused(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	require.NoError(t, b.inspector.Pause(t.Context(), b.broker.Namespace, b.broker.Name, "t"))
	eventually(t, "paused", func() bool { return n.paused("t") })
	n.apply()
	eventually(t, "removed", func() bool {
		found, err := b.rdb.HExists(t.Context(), b.key(0, "routes"), "t").Result()
		return err == nil && !found
	})
	n.apply(b.trigger("t", s))
	n.publish(http.StatusAccepted, "1")
	require.Equal(t, "1", s.next(t).id())
	require.False(t, b.info("t").Paused)
}

// The members of a batch have outcomes of their own.
func exerciseOutcomes(t *testing.T, b *bundle) {
	sink := subscribe(t, nil)
	var mu sync.Mutex
	seen, largest := map[string]int{}, 0
	outcome := func(id string) (status int, rest string) {
		seen[id]++
		switch {
		case id == "bad":
			return http.StatusUnprocessableEntity, `,"error":"no good"`
		case id == "later" && seen[id] == 1:
			return http.StatusServiceUnavailable, `,"error":"later"`
		case id == "asks":
			return http.StatusOK, `,"event":{"specversion":"1.0","id":"r","source":"/s","type":"test.answered"}`
		}
		return http.StatusOK, ""
	}
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		mu.Lock()
		defer mu.Unlock()
		if d.id() != "" { // alone: the first that is there, and what is tried again
			status, rest := outcome(d.id())
			if event, ok := strings.CutPrefix(rest, `,"event":`); ok {
				w.Header().Set("Content-Type", "application/cloudevents+json")
				rest = event
			} else if rest != "" {
				w.Header().Set("Content-Type", "application/json")
				rest = "{" + rest[1:] + "}"
			}
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, rest)
			return
		}
		var batch []struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(d.body, &batch) != nil || !strings.Contains(d.header.Get("Accept"), "outcomes") {
			return // of what is told as a whole nothing is dead
		}
		largest = max(largest, len(batch))
		var outcomes []string
		for _, e := range batch {
			status, rest := outcome(e.ID)
			outcomes = append(outcomes, fmt.Sprintf(`{"status":%d%s}`, status, rest))
		}
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = fmt.Fprintf(w, "[%s]", strings.Join(outcomes, ","))
	})
	tr := b.filtered("t", s, `{"type":"test.happened"}`)
	tr.BatchSize = 10
	tr.Parallelism = 1
	tr.Delivery = Delivery{Retry: 2, BackoffDelay: time.Millisecond}
	n := b.start(tr, b.filtered("answers", sink, `{"type":"test.answered"}`))
	require.NoError(t, b.inspector.Pause(t.Context(), tr.Namespace, tr.Broker, "t"))
	eventually(t, "paused", func() bool { return n.paused("t") })
	for _, id := range []string{"e0", "e1", "bad", "later", "asks"} {
		n.publish(http.StatusAccepted, id)
	}
	require.NoError(t, b.inspector.Resume(t.Context(), tr.Namespace, tr.Broker, "t"))
	require.Equal(t, "r", sink.next(t).id())
	eventually(t, "the bad one is dead", func() bool { return len(b.deadLetters()) == 1 })
	b.settled("t")
	letter := b.deadLetters()[0]
	require.Equal(t, "bad", letter.Event.ID())
	require.Equal(t, "no good", letter.Reason)
	mu.Lock()
	defer mu.Unlock()
	require.Greater(t, largest, 1)
	require.Equal(t, 2, seen["later"])
	for _, id := range []string{"e0", "e1", "asks", "bad"} {
		require.Equal(t, 1, seen[id], id)
	}
}

// Far more events wait behind one key than a process holds; a restart, and a redriven
// letter among them, stop nothing, and the order is kept.
func exerciseLongOrder(t *testing.T, b *bundle) {
	const events = 1300
	var well atomic.Bool
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		switch {
		case d.id() == "first":
			w.WriteHeader(http.StatusUnprocessableEntity)
		case !well.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	tr := b.trigger("t", s)
	tr.Ordered, tr.Parallelism = true, 4
	tr.Delivery = Delivery{Retry: 1000, BackoffDelay: 100 * time.Millisecond, BackoffPolicy: BackoffLinear}
	n := b.start(tr)
	n.publish(http.StatusAccepted, "first", "Ce-Partitionkey", "k")
	eventually(t, "the first is dead", func() bool { return len(b.deadLetters()) == 1 })
	for i := range events {
		n.publish(http.StatusAccepted, fmt.Sprintf("e%04d", i), "Ce-Partitionkey", "k")
	}
	require.NoError(t, b.inspector.Redrive(t.Context(), b.deadLetters()[0].ID))
	require.EqualValues(t, events+1, func() int64 { i := b.info("t"); return i.Lag + i.Pending + i.Retries }())
	n.stop()
	well.Store(true)
	drain(s)
	b.start(tr)
	last := ""
	for got := 0; got < events; {
		id := s.next(t).id()
		if id == "first" {
			continue
		}
		require.Greater(t, id, last)
		last = id
		got++
	}
	b.settled("t")
	require.Len(t, b.deadLetters(), 1)
	for _, key := range []string{"order:t", "waiting", "due:t", "retry:t"} {
		left, err := b.rdb.Exists(t.Context(), b.key(0, key)).Result()
		require.NoError(t, err)
		require.Zero(t, left, key)
	}
}

func drain(s *subscriber) {
	for {
		select {
		case <-s.got:
		default:
			return
		}
	}
}

// A large event is kept once, and goes when nobody refers to it any more.
func exerciseLargeEvents(t *testing.T, b *bundle) {
	b.cfg.Retention = time.Hour
	one, two := subscribe(t, nil), subscribe(t, func(w http.ResponseWriter, d delivery) {
		if d.id() == "dead" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	n := b.start(b.trigger("one", one), b.trigger("two", two))
	large := strings.Repeat("x", bodyBytes)
	for _, id := range []string{"1", "dead"} {
		n.publish(http.StatusAccepted, id, "Ce-Large", large)
		require.Equal(t, large, one.next(t).header.Get("Ce-Large"))
		require.Equal(t, large, two.next(t).header.Get("Ce-Large"))
	}
	b.settled("one")
	eventually(t, "dead", func() bool { return len(b.deadLetters()) == 1 })
	require.Equal(t, large, b.deadLetters()[0].Event.Extensions()["large"])
	require.NoError(t, b.inspector.ReplayFrom(t.Context(), b.broker.Namespace, b.broker.Name, "one", time.Now().Add(-time.Hour)))
	one.next(t)
	require.Equal(t, large, one.next(t).header.Get("Ce-Large"))
	b.settled("one")
	bodies := func() int {
		keys, err := b.rdb.Keys(t.Context(), b.key(0, "body:")+"*").Result()
		if err != nil { // a Redis Cluster answers for one node
			return -1
		}
		return len(keys)
	}
	refs, err := b.rdb.HGetAll(t.Context(), b.key(0, "refs")).Result()
	require.NoError(t, err)
	require.Len(t, refs, 2)
	for _, n := range refs {
		require.Equal(t, "1", n, "only the history is left")
	}
	n.stop()
	b.cfg.Retention = 0
	b.start(b.trigger("one", one), b.trigger("two", two))
	eventually(t, "nothing is left", func() bool {
		left, err := b.rdb.Exists(t.Context(), b.key(0, "refs")).Result()
		require.NoError(t, err)
		return left == 0 && bodies() <= 0
	})
}

// An invalid Trigger is left as it was; the others are served.
func exerciseInvalidTrigger(t *testing.T, b *bundle) {
	s, other := subscribe(t, nil), subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	broken := b.trigger("t", s)
	broken.Subscriber = "nowhere"
	n.apply(broken, b.trigger("other", other))
	n.publish(http.StatusAccepted, "1")
	require.Equal(t, "1", other.next(t).id())
	require.False(t, b.info("t").Removed)
	eventually(t, "it goes on filling its queue", func() bool {
		i := b.info("t") // a read that was under way when it stopped has given it back
		return i.Lag+i.Pending+i.Retries == 1
	})
	n.apply(b.trigger("t", s), b.trigger("other", other))
	require.Equal(t, "1", s.next(t).id())
}

// A process that starts with an older configuration changes no routes.
func exerciseOlderSet(t *testing.T, b *bundle) {
	s, added := subscribe(t, nil), subscribe(t, nil)
	set := func(version int64, triggers ...Trigger) Set {
		return Set{Version: version, Brokers: []Broker{b.broker}, Triggers: triggers}
	}
	n, old := b.start(), b.start()
	require.NoError(t, n.srv.Apply(t.Context(), set(7, b.trigger("t", s), b.trigger("added", added))))
	require.ErrorIs(t, old.srv.Apply(t.Context(), set(6, b.trigger("t", s))), ErrOutdated)
	for _, node := range []*node{n, old} {
		node.publish(http.StatusAccepted, node.srv.consumer)
		require.Equal(t, node.srv.consumer, s.next(t).id())
		require.Equal(t, node.srv.consumer, added.next(t).id())
	}
	require.False(t, b.info("added").Removed)
}

// A repeat is known also after the events were spread over more partitions.
func exerciseMorePartitions(t *testing.T, b *bundle) {
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	for _, id := range ids(50) {
		n.publish(http.StatusAccepted, id)
		s.next(t)
	}
	n.stop()
	b.cfg.Partitions = 4
	n = b.start(b.trigger("t", s))
	for _, id := range ids(50) {
		n.publish(http.StatusAccepted, id)
	}
	n.publish(http.StatusAccepted, "new")
	require.Equal(t, "new", s.next(t).id())
	b.settled("t")
	s.none(t)
}

// A process that comes back under its own name takes up at once what it was killed
// with.
func exerciseInstance(t *testing.T, b *bundle) {
	b.cfg.ClaimIdle = time.Hour
	s := subscribe(t, nil)
	n := b.serve(b.trigger("t", s))
	for _, id := range ids(30) {
		n.publish(http.StatusAccepted, id)
	}
	read, err := b.rdb.XReadGroup(t.Context(), &redis.XReadGroupArgs{
		Group: "d", Consumer: "me", Streams: []string{b.key(0, "q:t"), ">"}, Count: 20, Block: -1,
	}).Result()
	require.NoError(t, err)
	require.Len(t, read[0].Messages, 20)
	b.cfg.Instance = "me"
	b.start(b.trigger("t", s))
	got := map[string]int{}
	for range 30 {
		got[s.next(t).id()]++
	}
	require.Len(t, got, 30)
	b.settled("t")
	s.none(t)
}
