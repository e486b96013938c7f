package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/filter"
)

// serve starts a broker on an embedded Redis with these Triggers. It returns where
// events are posted to.
func serve(triggers ...broker.Trigger) (ingress string, inspector *broker.Inspector, stop func()) {
	m := miniredis.NewMiniRedis()
	must(m.Start())
	client := redis.NewClient(&redis.Options{Addr: m.Addr(), Protocol: 2})
	srv, err := broker.New(broker.DefaultConfig(), client, nil, slog.New(slog.DiscardHandler))
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	must(srv.Apply(ctx, broker.Set{Brokers: []broker.Broker{{Namespace: "shop", Name: "default"}}, Triggers: triggers}))
	done := make(chan error)
	go func() { done <- srv.Run(ctx) }()
	inspector, err = broker.NewInspector(client)
	must(err)
	web := httptest.NewServer(srv.Handler())
	return web.URL + "/shop/default", inspector, func() {
		web.Close()
		cancel()
		must(<-done)
		must(srv.Close())
		must(client.Close())
		m.Close()
	}
}

// trigger has the events of a type sent to a handler.
func trigger(name, kind string, h http.HandlerFunc) broker.Trigger {
	f, err := filter.Parse(fmt.Sprintf(`{"type":%q}`, kind))
	must(err)
	return broker.Trigger{
		Namespace: "shop", Broker: "default", Name: name, Filter: f, Subscriber: httptest.NewServer(h).URL,
		Delivery: broker.Delivery{Retry: 3, BackoffPolicy: broker.BackoffExponential, BackoffDelay: 10 * time.Millisecond},
	}
}

func post(ingress, id, kind string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, ingress, strings.NewReader(`{"item":7}`))
	must(err)
	req.Header = http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {id}, "Ce-Source": {"/checkout"}, "Ce-Type": {kind}, "Content-Type": {"application/json"},
	}
	resp, err := http.DefaultClient.Do(req)
	must(err)
	must(resp.Body.Close())
	fmt.Println("posted:", resp.StatusCode)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// An event is retried until its subscriber takes it. What the subscriber answers with
// is an event of its own, stored in the same step as the acknowledgement.
func Example() {
	var attempts atomic.Int32
	price := trigger("price", "order.placed", func(w http.ResponseWriter, _ *http.Request) {
		if attempts.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		h := w.Header()
		h.Set("Ce-Specversion", "1.0")
		h.Set("Ce-Id", "1-priced")
		h.Set("Ce-Source", "/price")
		h.Set("Ce-Type", "order.priced")
	})
	got := make(chan string)
	show := trigger("show", "order.priced", func(_ http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Ce-Type") + " of " + r.Header.Get("Ce-Source")
	})
	ingress, _, stop := serve(price, show)
	defer stop()

	post(ingress, "1", "order.placed")
	fmt.Println("reply:", <-got)
	fmt.Println("attempts:", attempts.Load())
	// Output:
	// posted: 202
	// reply: order.priced of /price
	// attempts: 3
}

// An event that its subscriber refuses is kept as a dead letter, with the reason,
// until somebody redrives or discards it.
func Example_deadLetter() {
	var mended atomic.Bool
	delivered := make(chan struct{})
	ingress, inspector, stop := serve(trigger("price", "order.placed", func(w http.ResponseWriter, _ *http.Request) {
		if mended.Load() {
			close(delivered)
			return
		}
		http.Error(w, "no such item", http.StatusUnprocessableEntity)
	}))
	defer stop()

	post(ingress, "1", "order.placed")
	var letters []broker.DeadLetter
	for len(letters) == 0 {
		var err error
		letters, _, err = inspector.DeadLetters(context.Background(), broker.DeadLetterQuery{})
		must(err)
	}
	l := letters[0]
	fmt.Printf("dead: %s after %d attempt: %d %s\n", l.Event.ID(), l.Attempts, l.Code, strings.TrimSpace(l.Reason))

	mended.Store(true)
	must(inspector.Redrive(context.Background(), l.ID))
	<-delivered
	// Output:
	// posted: 202
	// dead: 1 after 1 attempt: 422 no such item
}
