package broker

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// A member that its subscriber fails of, without saying that it is that one, costs only
// itself: what has failed in company goes alone.
func exercisePoison(t *testing.T, b *bundle) {
	for _, c := range []struct {
		name  string
		fails func(http.ResponseWriter)
	}{
		{"500", func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }},
		{"crash", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var widest atomic.Int64
			s := subscribe(t, func(w http.ResponseWriter, d delivery) {
				if n := int64(bytes.Count(d.body, []byte(`"specversion"`))); n > widest.Load() {
					widest.Store(n)
				}
				if bytes.Contains(d.body, []byte("poison")) || d.id() == "poison-"+c.name {
					c.fails(w)
				}
			})
			tr := b.trigger("t"+c.name, s)
			tr.BatchSize, tr.Parallelism = 20, 1
			tr.Delivery = Delivery{Retry: 3, BackoffDelay: 30 * time.Millisecond}
			n := b.serve(tr)
			for i, id := range ids(19) {
				n.publish(http.StatusAccepted, c.name+id)
				if i == 9 {
					n.publish(http.StatusAccepted, "poison-"+c.name)
				}
			}
			n.stop()
			n = b.start(tr)
			eventually(t, "the poison is dead", func() bool { return len(b.deadLetters()) > 0 })
			b.settled(tr.Name)
			letters := b.deadLetters()
			require.Len(t, letters, 1)
			require.Equal(t, "poison-"+c.name, letters[0].Event.ID())
			require.Greater(t, widest.Load(), int64(1))
			require.NoError(t, b.inspector.Discard(t.Context(), letters[0].ID))
			n.stop()
		})
	}
}

// A queue that is gone while one of its events is in flight, as after a purge or in a
// Redis that was restored, stops nobody else's acknowledgements.
func exerciseQueueIsGone(t *testing.T, b *bundle) {
	gate, release := hold()
	defer release()
	slow := subscribe(t, func(w http.ResponseWriter, _ delivery) { <-gate; w.WriteHeader(http.StatusServiceUnavailable) })
	s := subscribe(t, nil)
	late := b.trigger("late", slow)
	late.Delivery = Delivery{Retry: 3, BackoffDelay: time.Minute}
	n := b.start(late, b.trigger("t", s))
	n.publish(http.StatusAccepted, "1")
	slow.next(t)
	s.next(t)
	b.settled("t")
	require.NoError(t, b.rdb.Del(t.Context(), b.key(0, "q:late")).Err())
	release()
	for _, id := range ids(50) {
		n.publish(http.StatusAccepted, id)
		s.next(t)
	}
	b.settled("t")
}

// A replay gives nothing twice that an ordered queue still holds, at its head or behind.
func exerciseOrderedReplay(t *testing.T, b *bundle) {
	var well atomic.Bool
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		if d.id() != "e0" && !well.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	tr := b.trigger("t", s)
	tr.Ordered = true
	tr.Delivery = Delivery{Retry: 1000, BackoffDelay: 300 * time.Millisecond, BackoffPolicy: BackoffLinear}
	n := b.start(tr)
	for _, id := range ids(10) {
		n.publish(http.StatusAccepted, id, "Ce-Partitionkey", "k")
	}
	eventually(t, "the second is at the head, and fails", func() bool { return b.info("t").Retries == 1 })
	require.NoError(t, b.inspector.ReplayFrom(t.Context(), b.broker.Namespace, b.broker.Name, "t", time.Now().Add(-time.Hour)))
	eventually(t, "the first comes again", func() bool {
		i := b.info("t")
		return i.Lag+i.Pending+i.Retries == 10
	})
	drain(s)
	well.Store(true)
	got := map[string]int{}
	for sum := 0; sum < 10; {
		d := s.next(t)
		got[d.id()]++
		sum = len(got)
	}
	b.settled("t")
	for id, n := range got {
		require.LessOrEqual(t, n, 2, id) // one may have been under way when it went well
	}
	require.Len(t, got, 10)
}

// Where Redis was away for so long that all heartbeats have run out, nobody takes what a
// living process has in flight.
func exerciseAllHeartbeatsRunOut(t *testing.T, b *bundle) {
	gate, release := hold()
	defer release()
	s := subscribe(t, func(http.ResponseWriter, delivery) { <-gate })
	tr := b.trigger("t", s)
	one, two := b.start(tr), b.start(tr)
	for _, id := range ids(4) {
		one.publish(http.StatusAccepted, id)
		s.next(t)
	}
	alive := []string{b.key(0, "alive:"+one.srv.consumer), b.key(0, "alive:"+two.srv.consumer)}
	for range 12 { // whoever is first to show that it lives
		eventually(t, "both live", func() bool { return b.rdb.Exists(t.Context(), alive...).Val() == 2 })
		require.NoError(t, b.rdb.Del(t.Context(), alive...).Err())
	}
	eventually(t, "both live", func() bool { return b.rdb.Exists(t.Context(), alive...).Val() == 2 })
	s.none(t)
	release()
	b.settled("t")
	s.none(t)
}

// A Redis that was restored from a copy older than a Trigger gets it again, from
// whichever process has it: events go to it, and what it has in flight stops nobody.
func exerciseOlderCopy(t *testing.T, b *bundle) {
	first, second := subscribe(t, nil), subscribe(t, nil)
	n := b.start(b.trigger("first", first))
	n.publish(http.StatusAccepted, "1")
	first.next(t)
	b.settled("first")
	meta, routes := b.key(0, "meta"), b.key(0, "routes")
	copied, err := b.rdb.HGetAll(t.Context(), meta).Result()
	require.NoError(t, err)
	n.apply(b.trigger("first", first), b.trigger("second", second))
	n.publish(http.StatusAccepted, "2")
	require.Equal(t, "2", first.next(t).id())
	require.Equal(t, "2", second.next(t).id())
	b.settled("second")

	require.NoError(t, b.rdb.Del(t.Context(), b.key(0, "q:second"), meta).Err())
	require.NoError(t, b.rdb.HDel(t.Context(), routes, "second").Err())
	require.NoError(t, b.rdb.HSet(t.Context(), meta, copied).Err())
	n.publish(http.StatusAccepted, "3")
	require.Equal(t, "3", first.next(t).id())
	require.Equal(t, "3", second.next(t).id())
	b.settled("second")
}

// TestLostAnswer cuts connections to Redis after it has stored and claimed events and
// before the answer: the client repeats the call by itself, and what the first had claimed
// must be found.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	url := servertest.Redis(t)
	b := setup(t, url)
	cut := newAnswerCutter(t, url)
	through, err := redisclient.New(cut.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = through.Close() })
	b.rdb = through
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	// Several connections, so that a repeat finds another one at hand.
	var warm sync.WaitGroup
	for _, id := range ids(50) {
		warm.Go(func() { n.publish(http.StatusAccepted, id) })
	}
	warm.Wait()
	for range 50 {
		s.next(t)
	}
	for i := range 5 {
		id := fmt.Sprintf("cut-me-%d", i)
		cut.arm()
		n.publish(http.StatusAccepted, id)
		require.Equal(t, id, s.next(t).id())
	}
	require.Equal(t, int64(5), cut.cuts.Load())
	b.settled("t")
}

// answerCutter stands before a Redis and closes a connection, once for each arm, instead
// of handing on the answer to a call that names "cut-me".
type answerCutter struct {
	url   string
	armed atomic.Bool
	cuts  atomic.Int64
}

func (c *answerCutter) arm() { c.armed.Store(true) }

func newAnswerCutter(t *testing.T, address string) *answerCutter {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	network, target := "tcp", u.Host
	if u.Scheme == "unix" {
		network, target = "unix", u.Path
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	c := &answerCutter{url: "redis://" + l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, target)
			if err != nil {
				_ = client.Close()
				return
			}
			var swallow atomic.Bool
			end := sync.OnceFunc(func() { _ = client.Close(); _ = server.Close() })
			go func() {
				defer end()
				for buf := make([]byte, 64<<10); ; {
					n, err := client.Read(buf)
					if bytes.Contains(buf[:n], []byte("cut-me")) && c.armed.CompareAndSwap(true, false) {
						swallow.Store(true)
					}
					if n > 0 {
						if _, err := server.Write(buf[:n]); err != nil {
							return
						}
					}
					if err != nil {
						return
					}
				}
			}()
			go func() {
				defer end()
				for buf := make([]byte, 64<<10); ; {
					n, err := server.Read(buf)
					if n > 0 && swallow.Load() {
						c.cuts.Add(1)
						return
					}
					if n > 0 {
						if _, err := client.Write(buf[:n]); err != nil {
							return
						}
					}
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return c
}
