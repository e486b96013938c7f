package jobs

import (
	"context"
	"fmt"
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

// Activity counts the caller's jobs of the last day and month, or returns what was counted
// within the last minute. Counting is a large read, and can be a quota.Exceeded.
func (s *Service) Activity(ctx context.Context) (Activity, error) {
	tenant := auth.FromContext(ctx)
	return s.activities.get(ctx, tenant, s.Now, activityKept, func(ctx context.Context) (a Activity, err error) {
		release, err := s.TakeRead(ctx, tenant)
		if err != nil {
			return a, err
		}
		defer release()
		now := s.Now()
		if a.Day, err = s.Store.Activity(ctx, tenant, jobstore.LatestIntervals(now, time.Hour, 24)); err != nil {
			return a, fmt.Errorf("jobs of the last day: %w", err)
		}
		if a.Month, err = s.Store.Activity(ctx, tenant, jobstore.LatestIntervals(now, 24*time.Hour, 30)); err != nil {
			return a, fmt.Errorf("jobs of the last month: %w", err)
		}
		return a, nil
	})
}
