package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/filter"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/handover"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/seal"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/sink"
)

// answers is a function that answers each event as its subject says, and keeps what
// it was given.
type answers struct {
	mu   sync.Mutex
	seen map[string]string
}

func (a *answers) Handle(_ context.Context, e event.Event) (*event.Event, error) {
	arrived, _ := e.Extensions()["knativearrivaltime"].(string)
	if _, err := time.Parse(time.RFC3339Nano, arrived); err != nil {
		return nil, err
	}
	given := e.Clone()
	given.SetExtension("knativearrivaltime", nil) // another one each way
	text, err := json.Marshal(given)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.seen[e.ID()] = string(text)
	a.mu.Unlock()
	switch e.Subject() {
	case "reply":
		r := event.New()
		r.SetID("r-" + e.ID())
		r.SetSource("/answers")
		r.SetType("answered")
		r.SetExtension("n", "7") // binary mode has no numbers
		return &r, r.SetData("application/json", map[string]string{"to": e.ID()})
	case "bad-reply":
		r := event.New()
		return &r, nil
	case "refused":
		return nil, cehttp.NewResult(http.StatusUnprocessableEntity, "no good")
	case "error":
		return nil, errors.New("try again")
	case "later":
		return nil, &sink.Unavailable{RetryAfter: time.Second, Err: errors.New("later")}
	case "panic":
		panic("x")
	}
	return nil, nil
}

type batchAnswers struct{ answers }

func (a *batchAnswers) HandleBatch(ctx context.Context, events []event.Event) []function.Outcome {
	out := make([]function.Outcome, len(events))
	for i, e := range events {
		if e.Subject() == "panic" {
			e.SetSubject("error")
		}
		out[i].Reply, out[i].Err = a.Handle(ctx, e)
	}
	return out
}

// A function is given the same events and judged in the same way, whether a socket or
// nothing at all is between it and the broker; so are its replies and what it sends.
func TestHandoverIsHTTP(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 8} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			over := throughBroker(t, size, false)
			handed := throughBroker(t, size, true)
			require.Equal(t, over, handed)
			require.Len(t, over.Dead, 5)
			require.Len(t, over.Replies, 2)
		})
	}
}

// seen is what a test sees of both ways.
type seen struct{ Given, Replies, Dead map[string]string }

func throughBroker(t *testing.T, batch int, hand bool) seen {
	t.Helper()
	rdb, err := redisclient.New(servertest.Miniredis(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	local := newLoopback(http.DefaultTransport.(*http.Transport).Clone())
	t.Cleanup(local.close)
	cfg := broker.DefaultConfig()
	cfg.Transport, cfg.Block, cfg.BackoffJitter = local, 50*time.Millisecond, false
	srv, err := broker.New(cfg, rdb, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, srv.Close())
	})

	seals, err := seal.New(seal.Config{Key: "a-key-for-tests-only"})
	require.NoError(t, err)
	var requests, handed atomic.Int64
	at := func(name string, h http.Handler) string {
		counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			if handover.Handed(r) {
				handed.Add(1)
			}
			h.ServeHTTP(w, r)
		})
		if hand {
			local.handle(name+":1", counted)
			return "http://" + name + ":1"
		}
		s := httptest.NewServer(counted)
		t.Cleanup(s.Close)
		return s.URL
	}
	fn := &batchAnswers{answers{seen: map[string]string{}}}
	replies := &answers{seen: map[string]string{}}
	of := func(name string, fn any) string {
		h, err := function.Handler(name, fn, prometheus.NewRegistry(), function.WithSeals(seals))
		require.NoError(t, err)
		return at(name, h)
	}
	name := broker.Broker{Namespace: "n", Name: "b"}
	trigger := func(n, kind, url string, size int) broker.Trigger {
		f, err := filter.Parse(fmt.Sprintf(`{"type":%q}`, kind))
		require.NoError(t, err)
		tr := broker.Trigger{Namespace: "n", Broker: "b", Name: n, Subscriber: url, Filter: f, BatchSize: size, Parallelism: 1}
		tr.Delivery = broker.Delivery{Retry: 1, BackoffDelay: time.Millisecond, BackoffPolicy: broker.BackoffLinear}
		return tr
	}
	one := any(&fn.answers)
	if batch > 1 {
		one = fn
	}
	require.NoError(t, srv.Apply(ctx, broker.Set{Brokers: []broker.Broker{name}, Triggers: []broker.Trigger{
		trigger("asked", "asked", of("fn", one), batch), trigger("answered", "answered", of("replies", replies), 1),
	}}))
	ingress := at("ingress", srv.Handler())

	options := []sink.Option{sink.WithSeals(seals)}
	if hand {
		options = append(options, sink.WithTransport(local))
	}
	sender, err := sink.New(sink.Config{Sink: ingress + "/n/b"}, options...)
	require.NoError(t, err)
	subjects := []string{"none", "reply", "bad-reply", "refused", "error", "later", "panic", "reply"}
	var events []event.Event
	for i, s := range subjects {
		e := event.New()
		e.SetID(fmt.Sprint(i))
		e.SetSource("/test")
		e.SetType("asked")
		e.SetSubject(s)
		e.SetTime(time.Date(2026, 1, 1, 0, 0, 0, 5e8, time.UTC))
		require.NoError(t, e.SetData("application/json", map[string]any{"i": i, "text": "<€>"}))
		events = append(events, e)
	}
	require.NoError(t, sender.Send(ctx, events[0]))
	require.NoError(t, sender.Send(ctx, events[1:]...))
	go func() { done <- srv.Run(ctx) }()

	inspector, err := broker.NewInspector(rdb)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		all, err := inspector.TriggersOf(ctx, name)
		require.NoError(t, err)
		for _, i := range all {
			if i.Lag+i.Pending+i.Retries > 0 {
				return false
			}
		}
		return true
	}, time.Minute, 10*time.Millisecond)
	out := seen{Given: fn.seen, Replies: replies.seen, Dead: map[string]string{}}
	letters, _, err := inspector.DeadLetters(ctx, broker.DeadLetterQuery{Namespace: "n", Broker: "b"})
	require.NoError(t, err)
	for _, l := range letters {
		out.Dead[l.Event.ID()] = fmt.Sprint(l.Code, " ", l.Attempts, " ", reasonOf(l.Reason))
	}
	if hand {
		require.Equal(t, requests.Load(), handed.Load())
	} else {
		require.Zero(t, handed.Load())
	}
	return out
}

// reasonOf is the reason in an error body, or what is no such body.
func reasonOf(data string) string {
	var body struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(data), &body) != nil {
		return data
	}
	return body.Error
}
