package status

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

const (
	// countPatience is how long a page waits for its counts: among very many
	// jobs they take longer than the page itself. It is then shown with the
	// last ones known, or without.
	countPatience = 40 * time.Millisecond
	// countTimeout bounds one count.
	countTimeout = 10 * time.Second
	// staleAfter is when counts are too old to be shown at all.
	staleAfter = time.Minute
	// keptTallies bounds the filters whose counts are remembered.
	keptTallies = 256
)

// tallies remember how many jobs stand in each state, by tenant and filter, so
// that a filter is counted once at a time and at most once a pulse, however
// many look.
type tallies struct {
	mu      sync.Mutex
	kept    map[tallyKey]*tally
	running sync.WaitGroup
}

type tallyKey struct {
	tenant, ticker, text string
	since, until         time.Time
}

type tally struct {
	at     time.Time
	counts map[job.State]int
	// counting is closed when the count under way ends; nil if none is.
	counting chan struct{}
}

// counts gives the counts of q's filters, or nil where nobody knows them yet.
func (f *Function) counts(ctx context.Context, q jobstore.Query) map[job.State]int {
	t := &f.tallies
	key := tallyKey{auth.FromContext(ctx), q.Ticker, q.Text, q.Since, q.Until}
	t.mu.Lock()
	known := t.of(key)
	if time.Since(known.at) < f.cfg.Pulse {
		defer t.mu.Unlock()
		return known.counts
	}
	if known.counting == nil {
		known.counting = make(chan struct{})
		t.running.Add(1)
		go f.count(context.WithoutCancel(ctx), q, known)
	}
	counting := known.counting
	t.mu.Unlock()

	timer := time.NewTimer(countPatience)
	defer timer.Stop()
	select {
	case <-counting:
	case <-timer.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(known.at) > staleAfter {
		return nil
	}
	return known.counts
}

// of finds a tally or begins one. The caller holds the lock.
func (t *tallies) of(key tallyKey) *tally {
	if t.kept == nil || len(t.kept) >= keptTallies {
		t.kept = map[tallyKey]*tally{} // what is being counted ends by itself
	}
	if t.kept[key] == nil {
		t.kept[key] = &tally{}
	}
	return t.kept[key]
}

func (f *Function) count(ctx context.Context, q jobstore.Query, into *tally) {
	defer f.tallies.running.Done()
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	counts, err := f.Jobs.Counts(ctx, auth.FromContext(ctx), q)
	if err != nil {
		slog.WarnContext(ctx, "Jobs not counted", "error", err)
	}
	f.tallies.mu.Lock()
	defer f.tallies.mu.Unlock()
	if err == nil {
		into.at, into.counts = time.Now(), counts
	}
	close(into.counting)
	into.counting = nil
}

// countsOf are the counts that a page tells by itself: it holds all jobs there
// are.
func countsOf(q jobstore.Query, page jobstore.Page) (map[job.State]int, bool) {
	if page.Next != "" || q.Cursor != "" || len(q.Status) > 0 {
		return nil, false
	}
	counts := map[job.State]int{}
	for _, j := range page.Jobs {
		counts[j.Status]++
	}
	return counts, true
}
