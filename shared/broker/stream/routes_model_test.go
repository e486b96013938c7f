package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func testConfig() Config {
	return Config{
		Prefix: "test:", DedupWindow: time.Hour, QueueCap: 1 << 30, HistoryBytes: 1 << 30, HistoryAge: time.Hour,
		BodyBytes: 4096, ClaimIdle: time.Second, Block: 100 * time.Millisecond, RedisTimeout: 20 * time.Second,
	}
}

func open(t *testing.T, url string) (*Store, redis.UniversalClient) {
	t.Helper()
	client, err := redisclient.New(url)
	require.NoError(t, err)
	store := Open(testConfig(), client)
	t.Cleanup(func() {
		require.NoError(t, store.Close())
		require.NoError(t, client.Close())
	})
	return store, client
}

func eachRedis(t *testing.T, do func(t *testing.T, url string)) {
	t.Helper()
	for name, url := range map[string]func(testing.TB) string{"miniredis": servertest.Miniredis, "redis": servertest.Redis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			do(t, url(t))
		})
	}
}

func message(id, kind string) *cloudevent.Message {
	m := &cloudevent.Message{TTL: 1}
	m.SetText("id", id)
	m.SetText("source", "/s")
	m.SetText("type", kind)
	return m
}

func registration(name, kind string) Registration {
	r := Registration{Name: name, Record: Record{Subscriber: "http://" + name}}
	if kind != "" {
		r.Record.Filter = fmt.Sprintf(`{"type":%q}`, kind)
	}
	return r
}

// queueIDs are the ids of the events in a queue, in its order.
func queueIDs(t require.TestingT, client redis.UniversalClient, p *Partition, trigger string) []string {
	entries, err := client.XRange(context.Background(), p.keys.queue(trigger), "-", "+").Result()
	require.NoError(t, err)
	ids := []string{}
	for _, e := range entries {
		payload, _ := e.Values["e"].(string)
		m, err := cloudevent.Decode(payload)
		require.NoError(t, err)
		ids = append(ids, m.Get("id"))
	}
	return ids
}

// Processes with caches of different age store events while sets come and go: each
// event is in the queues of exactly those Triggers that were in force, by their
// filters of that moment, when it was stored.
func TestRoutesModel(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		store, client := open(t, url)
		log := slog.New(slog.DiscardHandler)
		names, kinds := []string{"a", "b", "c"}, []string{"", "x", "y"}
		rapid.Check(t, func(t *rapid.T) {
			b := Broker{Namespace: "n", Name: "b-" + uuid.NewString()}
			p := store.Partition(b, 0)
			// The model: filters of the Triggers that have a queue, those that have left
			// the set, the version of the set, and what is in the queues.
			filters, removed, version := map[string]string{}, map[string]bool{}, int64(0)
			queues := map[string][]string{}
			register := func(set RouteSet) {
				_, err := store.Register(context.Background(), b, 1, set)
				require.NoError(t, err)
				if set.Version > 0 && set.Version < version {
					return
				}
				version = set.Version
				wanted := map[string]bool{}
				for _, r := range set.Triggers {
					wanted[r.Name] = true
					kind := ""
					for _, k := range kinds[1:] {
						if r.Record.Filter == registration("", k).Record.Filter {
							kind = k
						}
					}
					if _, there := filters[r.Name]; !there {
						queues[r.Name] = []string{}
					}
					filters[r.Name] = kind
					delete(removed, r.Name)
				}
				for name := range filters {
					if !wanted[name] && !set.Partial && !slices.Contains(set.Keep, name) {
						removed[name] = true
					}
				}
			}
			register(RouteSet{})
			var writers []*Writer
			for range 3 {
				writers = append(writers, p.NewWriter("w", log, func(context.Context) error { return nil }))
			}
			defer func() {
				for _, w := range writers {
					w.Close(0)
				}
			}()
			n := 0
			t.Repeat(map[string]func(*rapid.T){
				"register": func(t *rapid.T) {
					set := RouteSet{Version: rapid.Int64Range(0, 3).Draw(t, "version"), Partial: rapid.Bool().Draw(t, "partial")}
					for _, name := range names {
						switch rapid.IntRange(0, 2).Draw(t, name) {
						case 1:
							set.Triggers = append(set.Triggers, registration(name, rapid.SampledFrom(kinds).Draw(t, "filter")))
						case 2:
							set.Keep = append(set.Keep, name)
						}
					}
					register(set)
				},
				"publish": func(t *rapid.T) {
					n++
					id, kind := fmt.Sprint(n), rapid.SampledFrom(kinds[1:]).Draw(t, "type")
					w := writers[rapid.IntRange(0, 2).Draw(t, "writer")]
					for range 2 { // the second is a repeat
						_, err := w.Publish(context.Background(), false, message(id, kind))
						require.NoError(t, err)
					}
					for name, filter := range filters {
						if filter == "" || filter == kind {
							queues[name] = append(queues[name], id)
						}
					}
				},
				"purge": func(t *rapid.T) {
					gone, _, err := p.Purge(context.Background(), 0, nil)
					require.NoError(t, err)
					require.Len(t, gone, len(removed))
					for name := range removed {
						delete(filters, name)
						delete(queues, name)
						delete(removed, name)
					}
				},
				"": func(t *rapid.T) {
					for _, name := range names {
						want := queues[name]
						if want == nil {
							want = []string{}
						}
						require.Equal(t, want, queueIDs(t, client, p, name), "queue of %s", name)
					}
				},
			})
		})
	})
}

// The same with everything at once: no event misses a Trigger that was there all the
// time, reaches one twice, or comes by a filter that never was.
func TestRoutesChangeUnderLoad(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		store, client := open(t, url)
		b := Broker{Namespace: "n", Name: "b-" + uuid.NewString()}
		p := store.Partition(b, 0)
		set := func(changing string) RouteSet {
			s := RouteSet{Triggers: []Registration{registration("always", "x"), registration("moving", changing)}}
			if changing == "" {
				s.Triggers = s.Triggers[:1]
			}
			return s
		}
		_, err := store.Register(t.Context(), b, 1, set("x"))
		require.NoError(t, err)
		const events, publishers = 300, 3
		var all, changes sync.WaitGroup
		stop := make(chan struct{})
		changes.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := store.Register(context.Background(), b, 1, set([]string{"x", "y", ""}[i%3])); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for n := range publishers {
			w := p.NewWriter(fmt.Sprint(n), slog.New(slog.DiscardHandler), func(context.Context) error { return nil })
			all.Go(func() {
				defer w.Close(0)
				for i := range events {
					for { // routes that change with every commit are refused in the end: the publisher repeats
						_, err := w.Publish(context.Background(), false, message(fmt.Sprintf("%d-%d", n, i), []string{"x", "z"}[i%2]))
						if err == nil {
							break
						}
					}
				}
			})
		}
		all.Wait()
		close(stop)
		changes.Wait()
		always := queueIDs(t, client, p, "always")
		require.Len(t, always, publishers*events/2)
		slices.Sort(always)
		require.Len(t, slices.Compact(always), publishers*events/2, "none twice")
		moving := queueIDs(t, client, p, "moving")
		slices.Sort(moving)
		require.Len(t, slices.Compact(slices.Clone(moving)), len(moving), "none twice")
		for _, id := range moving {
			require.Contains(t, always, id, "z matches neither filter")
		}
	})
}

// Routes of an older copy are not taken while they can't be registered again.
func TestOlderRoutesAreNotTakenWhileRestoringFails(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		store, client := open(t, url)
		b := Broker{"n", "b-" + uuid.NewString()}
		r, err := store.Register(t.Context(), b, 1, RouteSet{Triggers: []Registration{registration("t", "x")}})
		require.NoError(t, err)
		away := errors.New("refused by the test")
		w := r.Partitions[0].NewWriter("c", slog.New(slog.DiscardHandler), func(context.Context) error { return away })
		defer w.Close(0)
		w.Expect(r.Generations[0])
		require.NoError(t, client.HSet(t.Context(), w.p.keys.meta(), "gen", "1-0").Err())
		for range 2 {
			_, err = w.Publish(t.Context(), false, message("1", "x"))
			require.ErrorIs(t, err, away)
		}
	})
}
