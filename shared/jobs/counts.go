package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

const (
	// countWait is how long a page waits for its counts: among very many
	// jobs they take longer than the page itself. It is then shown with the
	// last ones known, or without.
	countWait = 40 * time.Millisecond
	// countTimeout bounds one count.
	countTimeout = 10 * time.Second
	// staleAfter is when counts are too old to be shown at all.
	staleAfter = time.Minute
	// keptCounts bounds the filters whose counts are remembered.
	keptCounts = 256
)

// countsCache remembers how many jobs stand in each state, by tenant and filter, so
// that a filter is counted once at a time and at most once in STREAM_REFRESH, however
// many look.
type countsCache struct {
	mu      sync.Mutex
	kept    map[countsKey]*counted
	running sync.WaitGroup
}

// countsKey names what is counted: filters is all of a query that Counts looks at.
type countsKey struct{ tenant, filters string }

func keyOf(tenant string, q jobstore.Query) countsKey {
	q.Status, q.Sort, q.Limit, q.Cursor = nil, jobstore.Query{}.Sort, 0, ""
	return countsKey{tenant, fmt.Sprintf("%#v", q)}
}

type counted struct {
	at     time.Time
	counts map[job.State]int
	// counting is closed when the count under way ends; nil if none is.
	counting chan struct{}
}

// Counts gives the counts of q's filters, or nil where nobody knows them yet.
func (s *Service) Counts(ctx context.Context, q jobstore.Query) map[job.State]int {
	c := &s.counts
	key := keyOf(auth.FromContext(ctx), q)
	c.mu.Lock()
	known := c.of(key)
	if time.Since(known.at) < s.cfg.Refresh {
		defer c.mu.Unlock()
		return known.counts
	}
	if known.counting == nil && !s.counting.take(key.tenant, 1) {
		// Another filter of the tenant is being counted, which goes on when its asker
		// has gone: one tenant must not count on every connection there is.
		defer c.mu.Unlock()
		return known.fresh()
	}
	if known.counting == nil {
		known.counting = make(chan struct{})
		c.running.Add(1)
		go s.count(context.WithoutCancel(ctx), q, known)
	}
	counting := known.counting
	c.mu.Unlock()

	timer := time.NewTimer(countWait)
	defer timer.Stop()
	select {
	case <-counting:
	case <-timer.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return known.fresh()
}

// fresh are the counts, unless they are too old to be shown.
func (k *counted) fresh() map[job.State]int {
	if time.Since(k.at) > staleAfter {
		return nil
	}
	return k.counts
}

// of finds the counts of a filter or begins them. The caller holds the lock.
func (c *countsCache) of(key countsKey) *counted {
	if c.kept == nil || len(c.kept) >= keptCounts {
		c.kept = map[countsKey]*counted{} // what is being counted ends by itself
	}
	if c.kept[key] == nil {
		c.kept[key] = &counted{}
	}
	return c.kept[key]
}

func (s *Service) count(ctx context.Context, q jobstore.Query, into *counted) {
	defer s.counts.running.Done()
	defer s.counting.giveBack(auth.FromContext(ctx))
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	counts, err := s.Store.Counts(ctx, auth.FromContext(ctx), q)
	if err != nil {
		slog.WarnContext(ctx, "counting jobs failed", "error", err)
	}
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	if err == nil {
		into.at, into.counts = time.Now(), counts
	}
	close(into.counting)
	into.counting = nil
}

// CountsOf are the counts that a page tells by itself: it holds all jobs there
// are.
func CountsOf(q jobstore.Query, page jobstore.Page) (map[job.State]int, bool) {
	if page.Next != "" || q.Cursor != "" || len(q.Status) > 0 {
		return nil, false
	}
	counts := map[job.State]int{}
	for _, j := range page.Jobs {
		counts[j.Shown()]++
	}
	return counts, true
}
