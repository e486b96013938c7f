package broker

import (
	"sync"
	"time"
)

// holdings are the entries that this process holds for one lane, and since when
// it has last claimed each.
type holdings struct {
	mu  sync.Mutex
	ids map[string]holding
}

type holding struct {
	since  time.Time
	leased bool
}

func newHoldings() *holdings { return &holdings{ids: make(map[string]holding)} }

// add reports false if the entry is held already.
func (h *holdings) add(id string, leased bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.ids[id]; ok {
		return false
	}
	h.ids[id] = holding{time.Now(), leased}
	return true
}

func (h *holdings) remove(ids ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		delete(h.ids, id)
	}
}

// olderThan gives the group's entries and the leased ones that were claimed that
// long ago or longer.
func (h *holdings) olderThan(age time.Duration) (pending, leased []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	limit := time.Now().Add(-age)
	for id, held := range h.ids {
		switch {
		case held.since.After(limit):
		case held.leased:
			leased = append(leased, id)
		default:
			pending = append(pending, id)
		}
	}
	return pending, leased
}

func (h *holdings) renewed(ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for _, id := range ids {
		if held, ok := h.ids[id]; ok {
			held.since = now
			h.ids[id] = held
		}
	}
}
