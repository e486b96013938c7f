package jobs

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/wait"
)

const (
	// telling is the progress, in percent, from which on it says more of a sweep's end
	// than the trading API's estimate: below, each percent is too long a step.
	telling = 10
	// recentRuns is how many of a tenant's latest sweeps say how long one takes, and
	// runsFresh how long what they said is used.
	recentRuns = 20
	runsFresh  = time.Minute
)

// timed completes what is known of a job: what people are told it is, and how long an
// open one has been open and when its sweep may end.
func (s *Service) timed(ctx context.Context, f Found, rec wait.Record) Found {
	f.DisplayStatus = f.Shown()
	if f.Status.Terminal() {
		return f
	}
	now := s.Now()
	f.ElapsedSeconds = math.Round(max(0, now.Sub(f.CreatedAt).Seconds())*1000) / 1000
	var at time.Time
	switch {
	case f.Ending:
	case f.Status == job.Running:
		at = endOfRun(rec, f.Progress, now)
	case f.Place > 0:
		at = s.endOfQueued(ctx, f.Place, now)
	}
	if at.After(now) {
		at = at.UTC().Truncate(time.Second)
		f.ETA = &at
	}
	return f
}

// endOfRun is when a sweep that is at the trading API may end, by its progress or else
// by the API's own estimate; zero where neither tells.
func endOfRun(rec wait.Record, progress int, now time.Time) time.Time {
	switch run := now.Sub(rec.StartedAt); {
	case rec.StartedAt.IsZero() || run <= 0:
		return time.Time{}
	case progress >= telling && progress < 100:
		return rec.StartedAt.Add(time.Duration(float64(run) * 100 / float64(progress)))
	case rec.EstimatedSeconds > 0:
		return rec.StartedAt.Add(time.Duration(rec.EstimatedSeconds * float64(time.Second)))
	}
	return time.Time{}
}

// endOfQueued is when a job may end before which place-1 others stand: slots free up
// one by one, each after as long as sweeps took lately.
func (s *Service) endOfQueued(ctx context.Context, place int, now time.Time) time.Time {
	if s.Slots == nil {
		return time.Time{}
	}
	most := s.Slots.Config().MaxConcurrent
	run := s.runs.mean(ctx, s.Store)
	if most <= 0 || run <= 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(float64(run) * (1 + float64(place)/float64(most))))
}

// runTimes remembers how long the sweeps of each tenant took lately.
type runTimes struct {
	mu    sync.Mutex
	known map[string]runTime
}

type runTime struct {
	at   time.Time
	mean time.Duration
}

// mean is 0 where nothing is known: no sweep has ended yet, or the store is away.
// One caller reads; the others take what was known before.
func (r *runTimes) mean(ctx context.Context, store Store) time.Duration {
	tenant := auth.FromContext(ctx)
	before, fresh := r.of(tenant)
	if fresh {
		return before
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	mean, err := recentMean(ctx, store, tenant)
	if err != nil {
		slog.WarnContext(ctx, "recent sweeps not read", "error", err)
		return before
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[tenant] = runTime{time.Now(), mean}
	return mean
}

// of is what is known of a tenant's sweeps. Where that is not fresh it counts as such
// from now on: the caller reads.
func (r *runTimes) of(tenant string) (mean time.Duration, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.known[tenant]
	if !t.at.IsZero() && time.Since(t.at) < runsFresh {
		return t.mean, true
	}
	if r.known == nil || len(r.known) >= keptCounts {
		r.known = map[string]runTime{}
	}
	r.known[tenant] = runTime{time.Now(), t.mean}
	return t.mean, false
}

func recentMean(ctx context.Context, store Store, tenant string) (time.Duration, error) {
	page, err := store.Jobs(ctx, tenant, jobstore.Query{Status: []job.State{job.Completed}, Limit: recentRuns})
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	n := 0
	for _, j := range page.Jobs {
		if j.StartedAt != nil && j.CompletedAt != nil && j.CompletedAt.After(*j.StartedAt) {
			sum += j.CompletedAt.Sub(*j.StartedAt)
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	return sum / time.Duration(n), nil
}
