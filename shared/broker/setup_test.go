package broker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker/filter"
	"github.com/zixly/sweepline/shared/broker/stream"
	"github.com/zixly/sweepline/shared/redisclient"
)

// patience bounds every wait of a test; nothing waits that long unless it fails: a
// machine that is several times slower than ours, under the race detector, passes.
const patience = time.Minute

// bundle is a broker of a test's own, on the Redis it was given.
type bundle struct {
	t         *testing.T
	rdb       redis.UniversalClient
	cfg       Config
	broker    Broker
	inspector *Inspector
}

func setup(t *testing.T, url string) *bundle {
	t.Helper()
	rdb, err := redisclient.New(url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	inspector, err := NewInspector(rdb)
	require.NoError(t, err)
	cfg := DefaultConfig()
	cfg.Block = 100 * time.Millisecond
	cfg.ClaimIdle = 600 * time.Millisecond
	cfg.SinkBackoff = 20 * time.Millisecond
	cfg.JanitorInterval = 50 * time.Millisecond
	cfg.RemovalGrace = 0
	cfg.DrainTimeout = 5 * time.Second
	cfg.RedisTimeout = 20 * time.Second // a busy machine is no outage
	return &bundle{
		t: t, rdb: rdb, cfg: cfg, inspector: inspector,
		broker: Broker{Namespace: "test", Name: "b-" + uuid.NewString()},
	}
}

// node is one process of the broker.
type node struct {
	*bundle

	srv     *Server
	ingress *httptest.Server
	stop    func()
}

// serve has a Server with these triggers take events until the test ends or stop
// is called.
func (b *bundle) serve(triggers ...Trigger) *node {
	b.t.Helper()
	srv, err := New(b.cfg, b.rdb, nil, quiet())
	require.NoError(b.t, err)
	n := &node{bundle: b, srv: srv}
	n.apply(triggers...)
	n.ingress = httptest.NewServer(srv.Handler())
	n.stop = sync.OnceFunc(func() {
		n.ingress.Close()
		require.NoError(b.t, srv.Close())
	})
	b.t.Cleanup(func() { n.stop() })
	return n
}

// start serves and delivers.
func (b *bundle) start(triggers ...Trigger) *node {
	b.t.Helper()
	n := b.serve(triggers...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.srv.Run(ctx) }()
	closeServer := n.stop
	n.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(b.t, <-done)
		closeServer()
	})
	return n
}

func (n *node) apply(triggers ...Trigger) {
	n.t.Helper()
	require.NoError(n.t, n.srv.Apply(n.t.Context(), Set{Brokers: []Broker{n.broker}, Triggers: triggers}))
}

func quiet() *slog.Logger {
	if os.Getenv("BROKER_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// trigger sends all events of the bundle's broker to the subscriber.
func (b *bundle) trigger(name string, s *subscriber) Trigger {
	return Trigger{Namespace: b.broker.Namespace, Broker: b.broker.Name, Name: name, Subscriber: s.URL}
}

// key names one of the broker's keys in a partition.
func (b *bundle) key(partition int, name string) string {
	return fmt.Sprintf("%s{%s/%d}:%s", b.cfg.KeyPrefix, b.broker, partition, name)
}

// filtered is trigger with a filter, in the form that Parse reads.
func (b *bundle) filtered(name string, s *subscriber, text string) Trigger {
	b.t.Helper()
	f, err := filter.Parse(text)
	require.NoError(b.t, err)
	tr := b.trigger(name, s)
	tr.Filter = f
	return tr
}

// paused reports whether the node has taken up that a trigger is paused.
func (n *node) paused(trigger string) bool {
	for _, b := range n.srv.brokers() {
		return b.dispatcher.Paused(trigger)
	}
	return false
}

// publish posts one binary event and requires the status.
func (n *node) publish(status int, id string, headers ...string) {
	n.t.Helper()
	require.Equal(n.t, status, n.post(id, headers...).StatusCode)
}

func (n *node) post(id string, headers ...string) *http.Response {
	n.t.Helper()
	return n.postData(id, `{"n":1}`, headers...)
}

func (n *node) postData(id, data string, headers ...string) *http.Response {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, n.url(), strings.NewReader(data))
	require.NoError(n.t, err)
	req.Header.Set("Ce-Specversion", "1.0")
	req.Header.Set("Ce-Id", id)
	req.Header.Set("Ce-Source", "/test")
	req.Header.Set("Ce-Type", "test.happened")
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(n.t, err)
	require.NoError(n.t, resp.Body.Close())
	return resp
}

func (n *node) url() string { return n.ingress.URL + "/" + n.broker.String() }

// delivery is one request a subscriber got.
type delivery struct {
	header http.Header
	body   []byte
	at     time.Time
}

func (d delivery) id() string { return d.header.Get("Ce-Id") }

// subscriber records deliveries and answers them.
type subscriber struct {
	*httptest.Server

	got chan delivery
}

// subscribe starts a subscriber that answers with handle, or 200 if it is nil.
func subscribe(t *testing.T, handle func(w http.ResponseWriter, d delivery)) *subscriber {
	t.Helper()
	s := &subscriber{got: make(chan delivery, 10_000)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // cut off
		}
		d := delivery{r.Header, body, at}
		s.got <- d
		if handle != nil {
			handle(w, d)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// hold gives a gate for handlers to wait at, and what opens it. Tests defer that,
// as a subscriber that closes waits for its handlers.
func hold() (gate <-chan struct{}, release func()) {
	c := make(chan struct{})
	return c, sync.OnceFunc(func() { close(c) })
}

func status(code int) func(http.ResponseWriter, delivery) {
	return func(w http.ResponseWriter, _ delivery) { w.WriteHeader(code) }
}

func (s *subscriber) next(t *testing.T) delivery {
	t.Helper()
	return receive(t, s.got)
}

// none fails if something was delivered. It does not wait: a test calls it after
// an event that must have come later.
func (s *subscriber) none(t *testing.T) {
	t.Helper()
	select {
	case d := <-s.got:
		require.Failf(t, "delivered", "event %s", d.id())
	default:
	}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// eventually waits for a state of Redis, which is another process.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, 5*time.Millisecond, what)
}

// info gives a trigger's numbers.
func (b *bundle) info(trigger string) TriggerInfo {
	b.t.Helper()
	all, err := b.inspector.TriggersOf(b.t.Context(), b.broker)
	require.NoError(b.t, err)
	for _, t := range all {
		if t.Name == trigger {
			return t
		}
	}
	require.FailNow(b.t, "no such trigger", trigger)
	return TriggerInfo{}
}

// settled waits until the trigger has nothing left to do.
func (b *bundle) settled(trigger string) {
	b.t.Helper()
	eventually(b.t, "trigger "+trigger+" is done", func() bool {
		i := b.info(trigger)
		return i.Lag == 0 && i.Pending == 0 && i.Retries == 0
	})
}

func (b *bundle) deadLetters() []DeadLetter {
	b.t.Helper()
	letters, _, err := b.inspector.DeadLetters(b.t.Context(),
		DeadLetterQuery{Namespace: b.broker.Namespace, Broker: b.broker.Name})
	require.NoError(b.t, err)
	return letters
}

func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("e%d", i)
	}
	return out
}

func mustAll(t *testing.T, n *node) []*stream.Partition {
	t.Helper()
	partitions, err := n.srv.store.All(t.Context(), n.broker)
	require.NoError(t, err)
	return partitions
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ofBroker are the events left by trigger of one broker: others share the Redis.
func ofBroker(all []stream.Backlog, b Broker) map[string]int64 {
	left := map[string]int64{}
	for _, l := range all {
		if l.Broker == b {
			left[l.Trigger] = l.Events
		}
	}
	return left
}
