package broker

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

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
	gate, release := hold()
	defer release()
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
		"too slow":  {func(http.ResponseWriter) { <-gate }, 2, true},
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
	asks.Filter = filtered(t, `{"type":"test.happened"}`)
	answers.Filter = filtered(t, `{"type":"test.answered"}`)
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
	asks.Filter = filtered(t, `{"type":"test.happened"}`)
	asks.Delivery = Delivery{Retry: 3, BackoffDelay: 10 * time.Millisecond}
	answers.Filter = filtered(t, `{"type":"test.answered"}`)
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
	answers := make(chan int)
	sink := subscribe(t, func(w http.ResponseWriter, _ delivery) {
		select {
		case code := <-answers:
			w.WriteHeader(code)
		case <-t.Context().Done():
		}
	})
	tr := b.trigger("t", s)
	tr.Delivery.DeadLetterSink = sink.URL
	n := b.start(tr)
	n.publish(http.StatusAccepted, "1")
	for range 3 {
		sink.next(t)
		require.Empty(t, b.deadLetters())
		answers <- http.StatusBadRequest // nothing makes the sink's refusal final
	}
	d := sink.next(t)
	answers <- http.StatusOK
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
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		mu.Lock()
		defer mu.Unlock()
		if d.header.Get("Ce-Bad") != "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
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
	n.publish(http.StatusAccepted, "3", "Ce-Bad", "yes")
	eventually(t, "dead", func() bool { return len(b.deadLetters()) == 1 })
	s.next(t)
	last := b.deadLetters()[0]
	n.apply() // a removed trigger leaves its dead letters behind
	require.Len(t, b.deadLetters(), 1)
	require.ErrorIs(t, b.inspector.Redrive(t.Context(), last.ID), ErrNotFound)
	require.NoError(t, b.inspector.Discard(t.Context(), last.ID))
	require.Empty(t, b.deadLetters())
	for _, id := range []string{"", "x", "e30", strings.Repeat("A", 1000)} {
		require.ErrorIs(t, b.inspector.Redrive(t.Context(), id), ErrNotFound)
	}
	s.none(t)
}
