package stream

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// keeper claims all there is, and keeps it.
type keeper struct {
	mu   sync.Mutex
	held map[string]*Entry // by event id
}

func (k *keeper) Wants(map[string]bool) []Want { return []Want{{Trigger: "t", Count: 10}} }

func (k *keeper) Claimed(_ Want, entries []*Entry, _ bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range entries {
		k.held[e.Message.Get("id")] = e
	}
}

func (k *keeper) all() map[string]*Entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make(map[string]*Entry, len(k.held))
	for id, e := range k.held {
		out[id] = e
	}
	return out
}

// Acknowledgements are sent for many at once, and each is answered for itself: one that
// comes late, for an entry that is scheduled for a retry by now, leaves that, and one that
// comes twice is nobody's.
func TestAcknowledgementsOfAGroup(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		store, client := open(t, url)
		hook := &broken{}
		store.rdb.AddHook(hook)
		registered, err := store.Register(t.Context(), Broker{"n", "b-" + uuid.NewString()}, 1, RouteSet{Triggers: []Registration{registration("t", "x")}})
		require.NoError(t, err)
		w := registered.Partitions[0].NewWriter("c", slog.New(slog.DiscardHandler), func(context.Context) error { return nil })
		defer w.Close(0)
		k := &keeper{held: map[string]*Entry{}}
		w.SetClaimer(k)
		for i := range 5 {
			_, err = w.Publish(t.Context(), false, message(fmt.Sprint(i), "x"))
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool {
			w.Kick()
			return len(k.all()) == 5
		}, time.Minute, 5*time.Millisecond)
		entries := k.all()
		settle := func(id string, s Settlement) chan bool {
			done := make(chan bool, 1)
			s.Entry, s.Done = entries[id], func(ours bool) { done <- ours }
			w.Settle(s)
			return done
		}
		require.True(t, <-settle("0", Settlement{Outcome: RetryLater, Delay: time.Hour}))
		require.True(t, <-settle("1", Settlement{Outcome: Delivered}))

		// What is asked for while Redis is away is one group once it is back, but for the first.
		hook.failing.Store(1)
		var answers []chan bool
		for _, id := range []string{"4", "0", "1", "2", "3"} {
			answers = append(answers, settle(id, Settlement{Outcome: Delivered}))
			w.Kick()
			require.Eventually(t, func() bool { return hook.calls.Load() > 0 }, time.Minute, time.Millisecond)
		}
		hook.failing.Store(0)
		var ours []bool
		for _, a := range answers {
			ours = append(ours, <-a)
		}
		require.Equal(t, []bool{true, false, false, true, true}, ours)
		require.Len(t, queueIDs(t, client, registered.Partitions[0], "t"), 1, "the one to be tried again")
		pending, err := client.XPending(t.Context(), w.p.keys.queue("t"), group).Result()
		require.NoError(t, err)
		require.Zero(t, pending.Count)
	})
}
