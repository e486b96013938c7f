package broker

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
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
		"batches":            exerciseBatches,
		"order":              exerciseOrder,
		"isolation":          exerciseIsolation,
		"partitions":         exercisePartitions,
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
	tr := b.trigger("even", s)
	tr.Filter = func(e event.Event) bool { return e.Extensions()["parity"] == "even" }
	n := b.start(tr)
	for i := range 10 {
		n.publish(http.StatusAccepted, fmt.Sprint(i), "Ce-Parity", []string{"even", "odd"}[i%2])
	}
	for range 5 {
		require.Equal(t, "even", s.next(t).header.Get("Ce-Parity"))
	}
	b.settled("even")
	s.none(t)
}

func exerciseRetries(t *testing.T, b *bundle) {
	for _, c := range []struct {
		policy BackoffPolicy
		delays []int // in units of the backoff delay
	}{{BackoffExponential, []int{1, 2, 4}}, {BackoffLinear, []int{1, 2, 3}}} {
		const unit = 60 * time.Millisecond
		s := subscribe(t, status(http.StatusServiceUnavailable))
		tr := b.trigger("t-"+string(c.policy), s)
		tr.Delivery = Delivery{Retry: 3, BackoffPolicy: c.policy, BackoffDelay: unit}
		n := b.start(tr)
		n.publish(http.StatusAccepted, string(c.policy))
		last := s.next(t).at
		for i, units := range c.delays {
			at := s.next(t).at
			require.GreaterOrEqual(t, at.Sub(last), time.Duration(units)*unit-time.Millisecond, "retry %d", i+1)
			last = at
		}
		b.settled(tr.Name)
		s.none(t)
		letters := b.deadLetters()
		require.NotEmpty(t, letters)
		require.Equal(t, 4, letters[0].Attempts)
		n.stop()
	}
}

// The attempt count and the due time live in Redis: a restart in the middle
// neither repeats nor skips attempts.
func exerciseRetrySurvives(t *testing.T, b *bundle) {
	s := subscribe(t, status(http.StatusInternalServerError))
	tr := b.trigger("t", s)
	tr.Delivery = Delivery{Retry: 2, BackoffPolicy: BackoffLinear, BackoffDelay: 300 * time.Millisecond}
	n := b.start(tr)
	n.publish(http.StatusAccepted, "1")
	first := s.next(t).at
	eventually(t, "retry is stored", func() bool { return b.info("t").Retries == 1 })
	retries, err := b.inspector.Retries(t.Context(), b.broker.Namespace, b.broker.Name, "t", 10)
	require.NoError(t, err)
	require.Equal(t, 1, retries[0].Attempts)
	n.stop()
	b.start(tr)
	require.GreaterOrEqual(t, s.next(t).at.Sub(first), 299*time.Millisecond)
	s.next(t)
	eventually(t, "dead", func() bool { return len(b.deadLetters()) == 1 })
	require.Equal(t, 3, b.deadLetters()[0].Attempts)
	s.none(t)
}

// Which answers are retried, which are not, and which deliver.
func exerciseAnswers(t *testing.T, b *bundle) {
	event := func(w http.ResponseWriter, code int, h ...string) {
		for i := 0; i < len(h); i += 2 {
			w.Header().Set(h[i], h[i+1])
		}
		w.WriteHeader(code)
	}
	cases := map[string]struct {
		answer   func(w http.ResponseWriter)
		attempts int
		dead     bool
	}{
		"200":       {func(w http.ResponseWriter) { w.WriteHeader(200) }, 1, false},
		"204":       {func(w http.ResponseWriter) { w.WriteHeader(204) }, 1, false},
		"plain":     {func(w http.ResponseWriter) { _, _ = w.Write([]byte("hello")) }, 1, false},
		"301":       {func(w http.ResponseWriter) { event(w, 301, "Location", "/elsewhere") }, 1, true},
		"400":       {func(w http.ResponseWriter) { w.WriteHeader(400) }, 1, true},
		"401":       {func(w http.ResponseWriter) { w.WriteHeader(401) }, 1, true},
		"404":       {func(w http.ResponseWriter) { w.WriteHeader(404) }, 2, true},
		"408":       {func(w http.ResponseWriter) { w.WriteHeader(408) }, 2, true},
		"409":       {func(w http.ResponseWriter) { w.WriteHeader(409) }, 2, true},
		"413":       {func(w http.ResponseWriter) { w.WriteHeader(413) }, 1, true},
		"422":       {func(w http.ResponseWriter) { w.WriteHeader(422) }, 1, true},
		"425":       {func(w http.ResponseWriter) { w.WriteHeader(425) }, 2, true},
		"429":       {func(w http.ResponseWriter) { w.WriteHeader(429) }, 2, true},
		"500":       {func(w http.ResponseWriter) { w.WriteHeader(500) }, 2, true},
		"503":       {func(w http.ResponseWriter) { w.WriteHeader(503) }, 2, true},
		"malformed": {func(w http.ResponseWriter) { event(w, 200, "Ce-Specversion", "1.0") }, 2, true},
		"hang up":   {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 2, true},
		"too slow":  {func(http.ResponseWriter) { time.Sleep(0); <-time.After(700 * time.Millisecond) }, 2, true},
	}
	var mu sync.Mutex
	attempts := map[string]int{}
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		mu.Lock()
		attempts[d.id()]++
		mu.Unlock()
		cases[d.id()].answer(w)
	})
	tr := b.trigger("t", s)
	tr.Delivery = Delivery{Retry: 1, BackoffDelay: time.Millisecond, Timeout: 400 * time.Millisecond}
	n := b.start(tr)
	dead := 0
	for id, c := range cases {
		n.publish(http.StatusAccepted, id)
		if c.dead {
			dead++
		}
	}
	eventually(t, "all dead", func() bool { return len(b.deadLetters()) == dead })
	b.settled("t")
	isDead := map[string]bool{}
	for _, l := range b.deadLetters() {
		isDead[l.Event.ID()] = true
	}
	mu.Lock()
	defer mu.Unlock()
	for id, c := range cases {
		require.Equal(t, c.attempts, attempts[id], id)
		require.Equal(t, c.dead, isDead[id], id)
	}
}

func exerciseRetryAfter(t *testing.T, b *bundle) {
	s := subscribe(t, func(w http.ResponseWriter, _ delivery) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	tr := b.trigger("bounded", s)
	tr.Delivery = Delivery{Retry: 1, RetryAfterMax: 250 * time.Millisecond}
	n := b.start(tr)
	n.publish(http.StatusAccepted, "1")
	first := s.next(t).at
	require.GreaterOrEqual(t, s.next(t).at.Sub(first), 249*time.Millisecond)
	b.settled("bounded")
	n.stop()

	ignored := b.trigger("ignored", s)
	ignored.Delivery = Delivery{Retry: 1, IgnoreRetryAfter: true}
	n = b.start(ignored)
	n.publish(http.StatusAccepted, "2")
	s.next(t)
	s.next(t) // would not come within the test's patience otherwise
}

func exerciseReply(t *testing.T, b *bundle) {
	sink := subscribe(t, nil)
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		w.Header().Set("Ce-Specversion", "1.0")
		w.Header().Set("Ce-Id", "reply-to-"+d.id())
		w.Header().Set("Ce-Source", "/subscriber")
		w.Header().Set("Ce-Type", "test.answered")
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("hello"))
	})
	asks, answers := b.trigger("asks", s), b.trigger("answers", sink)
	asks.Filter = func(e event.Event) bool { return e.Type() == "test.happened" }
	answers.Filter = func(e event.Event) bool { return e.Type() == "test.answered" }
	n := b.start(asks, answers)
	n.publish(http.StatusAccepted, "1", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	d := sink.next(t)
	require.Equal(t, "reply-to-1", d.id())
	require.Equal(t, "hello", string(d.body))
	require.Equal(t, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", d.header.Get("Traceparent"))
	b.settled("asks")
	b.settled("answers")
}

// A reply that cannot be stored is a failed delivery: the original is delivered
// again, and is never acknowledged without its reply.
func exerciseReplyBeforeAck(t *testing.T, b *bundle) {
	sink := subscribe(t, nil)
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		w.Header().Set("Ce-Specversion", "1.0")
		w.Header().Set("Ce-Id", "reply-to-"+d.id())
		w.Header().Set("Ce-Source", "/subscriber")
		w.Header().Set("Ce-Type", "test.answered")
	})
	refused := make(chan struct{}, 100)
	var mu sync.Mutex
	left := 4 // as often as one delivery tries to store its reply
	b.cfg.Journal = func(_ context.Context, events []event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events {
			if e.Type() == "test.answered" && left > 0 {
				left--
				refused <- struct{}{}
				return errRefused
			}
		}
		return nil
	}
	asks, answers := b.trigger("asks", s), b.trigger("answers", sink)
	asks.Filter = func(e event.Event) bool { return e.Type() == "test.happened" }
	asks.Delivery = Delivery{Retry: 3, BackoffDelay: 10 * time.Millisecond}
	answers.Filter = func(e event.Event) bool { return e.Type() == "test.answered" }
	n := b.start(asks, answers)
	n.publish(http.StatusAccepted, "1")
	s.next(t)
	receive(t, refused)
	info := b.info("asks")
	require.EqualValues(t, 1, info.Pending+info.Retries, "the original is not acknowledged")
	s.next(t) // delivered again
	require.Equal(t, "reply-to-1", sink.next(t).id())
	b.settled("asks")
	require.Empty(t, b.deadLetters())
}

func exerciseLoopEnds(t *testing.T, b *bundle) {
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		w.Header().Set("Ce-Specversion", "1.0")
		w.Header().Set("Ce-Id", d.id()+"+")
		w.Header().Set("Ce-Source", "/loop")
		w.Header().Set("Ce-Type", "test.looped")
	})
	n := b.start(b.trigger("loop", s))
	n.publish(http.StatusAccepted, "1", "Ce-Knativebrokerttl", "4")
	for _, want := range []string{"1", "1+", "1++"} {
		require.Equal(t, want, s.next(t).id())
	}
	b.settled("loop")
	s.none(t)
	n.publish(http.StatusBadRequest, "2", "Ce-Knativebrokerttl", "1")
}

func exerciseDeadLetterSink(t *testing.T, b *bundle) {
	s := subscribe(t, func(w http.ResponseWriter, _ delivery) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(strings.Repeat("x", 5000)))
	})
	var mu sync.Mutex
	down := 3
	sink := subscribe(t, func(w http.ResponseWriter, _ delivery) {
		mu.Lock()
		defer mu.Unlock()
		if down > 0 {
			down--
			w.WriteHeader(http.StatusBadRequest) // nothing makes the sink's refusal final
		}
	})
	tr := b.trigger("t", s)
	tr.Delivery.DeadLetterSink = sink.URL
	n := b.start(tr)
	n.publish(http.StatusAccepted, "1")
	for range 3 {
		sink.next(t)
		require.Empty(t, b.deadLetters())
	}
	d := sink.next(t)
	require.JSONEq(t, `{"n":1}`, string(d.body))
	require.Equal(t, s.URL, d.header.Get("Ce-Knativeerrordest"))
	require.Equal(t, "422", d.header.Get("Ce-Knativeerrorcode"))
	require.Len(t, d.header.Get("Ce-Knativeerrordata"), 1024)
	b.settled("t")
	letters := b.deadLetters()
	require.Len(t, letters, 1)
	require.True(t, letters[0].Taken)
	require.Equal(t, 1, letters[0].Attempts)
	s.next(t)
	s.none(t) // the subscriber was not asked again
}

func exerciseDeadLetterList(t *testing.T, b *bundle) {
	var mu sync.Mutex
	code := http.StatusBadRequest
	s := subscribe(t, func(w http.ResponseWriter, _ delivery) {
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(code)
	})
	n := b.start(b.trigger("t", s))
	n.publish(http.StatusAccepted, "1")
	n.publish(http.StatusAccepted, "2")
	eventually(t, "two dead", func() bool { return len(b.deadLetters()) == 2 })
	mu.Lock()
	code = http.StatusOK
	mu.Unlock()
	s.next(t)
	s.next(t)
	letters := b.deadLetters()
	require.False(t, letters[0].Taken)
	require.Equal(t, http.StatusBadRequest, letters[0].Code)
	require.JSONEq(t, `{"n":1}`, string(letters[0].Event.Data()))

	got, err := b.inspector.DeadLetter(t.Context(), letters[0].ID)
	require.NoError(t, err)
	require.Equal(t, letters[0], got)
	require.NoError(t, b.inspector.Redrive(t.Context(), letters[0].ID))
	require.Equal(t, letters[0].Event.ID(), s.next(t).id())
	require.ErrorIs(t, b.inspector.Redrive(t.Context(), letters[0].ID), ErrNotFound)
	require.NoError(t, b.inspector.Discard(t.Context(), letters[1].ID))
	require.ErrorIs(t, b.inspector.Discard(t.Context(), letters[1].ID), ErrNotFound)
	require.Empty(t, b.deadLetters())
	for _, id := range []string{"", "x", "e30", strings.Repeat("A", 1000)} {
		require.ErrorIs(t, b.inspector.Redrive(t.Context(), id), ErrNotFound)
	}
	b.settled("t")
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
		Group: "t", Consumer: "killed", Streams: []string{newPartition(b.broker, 0).stream(), ">"}, Count: 60, Block: -1,
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
	release := make(chan struct{})
	s := subscribe(t, func(http.ResponseWriter, delivery) { <-release })
	tr := b.trigger("t", s)
	one := b.start(tr)
	b.start(tr)
	one.publish(http.StatusAccepted, "1")
	s.next(t)
	<-time.After(3 * b.cfg.ClaimIdle) // time in which a thief would strike
	close(release)
	b.settled("t")
	s.none(t)
}

// At the end deliveries in flight finish, and what was read ahead goes to others
// at once.
func exerciseDrain(t *testing.T, b *bundle) {
	release := make(chan struct{})
	slow := subscribe(t, func(http.ResponseWriter, delivery) { <-release })
	b.cfg.ClaimIdle = time.Hour // only what is given back can be taken over
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
		return n.srv.work == nil
	})
	close(release)
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
	release := make(chan struct{})
	quick, slow := subscribe(t, nil), subscribe(t, func(http.ResponseWriter, delivery) { <-release })
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
	close(release)
	b.settled("slow")
	eventually(t, "trimmed", func() bool { return length() == 0 })
}

func exerciseCap(t *testing.T, b *bundle) {
	b.cfg.StreamCap = 20
	release := make(chan struct{})
	s := subscribe(t, func(http.ResponseWriter, delivery) { <-release })
	n := b.start(b.trigger("t", s))
	for _, id := range ids(20) {
		n.publish(http.StatusAccepted, id)
	}
	resp := n.post("too-many")
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	n.publish(http.StatusAccepted, "e0") // a repeat is stored already
	close(release)
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

func exerciseIsolation(t *testing.T, b *bundle) {
	release := make(chan struct{})
	defer close(release)
	hung, quick := subscribe(t, func(http.ResponseWriter, delivery) { <-release }), subscribe(t, nil)
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
		l, err := b.rdb.XLen(t.Context(), newPartition(b.broker, p).stream()).Result()
		require.NoError(t, err)
		if l > 0 {
			used++
		}
	}
	require.Equal(t, 4, used)
}
