package broker

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errRefused = errors.New("refused by the test")

func exerciseBatches(t *testing.T, b *bundle) {
	var mu sync.Mutex
	seen := map[string]bool{}
	largest := 0
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		mu.Lock()
		defer mu.Unlock()
		if d.header.Get("Ce-Id") != "" { // alone
			if d.id() == "poison" {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			seen[d.id()] = true
			return
		}
		var batch []struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(d.body, &batch) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		largest = max(largest, len(batch))
		for _, e := range batch {
			if e.ID == "poison" {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
		}
		for _, e := range batch {
			seen[e.ID] = true
		}
	})
	tr := b.trigger("t", s)
	tr.BatchSize = 10
	n := b.start(tr)
	require.NoError(t, b.inspector.Pause(t.Context(), tr.Namespace, tr.Broker, "t"))
	eventually(t, "paused", func() bool { return n.paused("t") })
	for _, id := range ids(40) {
		n.publish(http.StatusAccepted, id)
	}
	n.publish(http.StatusAccepted, "poison")
	require.NoError(t, b.inspector.Resume(t.Context(), tr.Namespace, tr.Broker, "t"))
	eventually(t, "poison is dead", func() bool { return len(b.deadLetters()) == 1 })
	b.settled("t")
	require.Equal(t, "poison", b.deadLetters()[0].Event.ID())
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, seen, 40)
	require.Greater(t, largest, 1)
	require.LessOrEqual(t, largest, 10)
}

// Events of one key come in order, also around a retry and a change of the
// process; other keys do not wait.
func exerciseOrder(t *testing.T, b *bundle) {
	var mu sync.Mutex
	failed := map[string]bool{}
	s := subscribe(t, func(w http.ResponseWriter, d delivery) {
		mu.Lock()
		defer mu.Unlock()
		if d.header.Get("Ce-Fail") == "once" && !failed[d.id()] {
			failed[d.id()] = true
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	tr := b.trigger("t", s)
	tr.Ordered = true
	tr.Delivery = Delivery{Retry: 5, BackoffDelay: 150 * time.Millisecond}
	n := b.start(tr)
	n.publish(http.StatusAccepted, "a1", "Ce-Partitionkey", "a", "Ce-Fail", "once")
	n.publish(http.StatusAccepted, "a2", "Ce-Partitionkey", "a")
	n.publish(http.StatusAccepted, "a3", "Ce-Partitionkey", "a")
	n.publish(http.StatusAccepted, "b1", "Ce-Partitionkey", "b")
	var got []string
	for range 3 { // a1, its failure postponed; b1 need not wait
		got = append(got, s.next(t).id())
		if len(got) == 2 {
			require.ElementsMatch(t, []string{"a1", "b1"}, got)
			n.stop()
			n = b.start(tr)
		}
	}
	require.Equal(t, "a1", got[2])
	require.Equal(t, "a2", s.next(t).id())
	require.Equal(t, "a3", s.next(t).id())
	b.settled("t")
	s.none(t)
}
