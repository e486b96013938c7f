package jobs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/jobstore"
)

// activityKept is for how long what was counted is shown: it looks at every job of a month.
const activityKept = time.Minute

// Activity is how many jobs came lately, and how long they took.
type Activity struct {
	// Day are the last 24 hours, Month the last 30 days.
	Day, Month []jobstore.Interval
}

// activityCache holds what was counted last for each tenant.
type activityCache struct {
	mu      sync.Mutex
	tenants map[string]*countedActivity
}

// countedActivity is one tenant's.
type countedActivity struct {
	mu   sync.Mutex // held while it is counted, once for all who ask
	at   time.Time
	last Activity
}

func (c *activityCache) of(tenant string) *countedActivity {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tenants == nil {
		c.tenants = map[string]*countedActivity{}
	}
	if c.tenants[tenant] == nil {
		c.tenants[tenant] = &countedActivity{}
	}
	return c.tenants[tenant]
}

// Activity counts the caller's jobs of the last day and month, or tells what was counted
// within the last minute. It is a large read, and can be a quota.Exceeded.
func (s *Service) Activity(ctx context.Context) (Activity, error) {
	tenant := auth.FromContext(ctx)
	release, err := s.TakeRead(ctx, tenant)
	if err != nil {
		return Activity{}, err
	}
	defer release()
	c := s.activities.of(tenant)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := s.Now()
	if !c.at.IsZero() && now.Sub(c.at) < activityKept {
		return c.last, nil
	}
	var a Activity
	if a.Day, err = s.Store.Activity(ctx, tenant, jobstore.LatestIntervals(now, time.Hour, 24)); err != nil {
		return Activity{}, fmt.Errorf("jobs of the last day: %w", err)
	}
	if a.Month, err = s.Store.Activity(ctx, tenant, jobstore.LatestIntervals(now, 24*time.Hour, 30)); err != nil {
		return Activity{}, fmt.Errorf("jobs of the last month: %w", err)
	}
	c.at, c.last = now, a
	return a, nil
}
