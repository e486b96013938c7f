package jobs

import (
	"context"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/quota"
)

// readTimeout is how long a reader waits for one of its tenant's other reads to end.
const readTimeout = 2 * time.Second

// shares counts what each tenant has of something. It remembers those that have any.
type shares struct {
	mu   sync.Mutex
	held map[string]int
	// freed is closed, and made anew, when something is given back.
	freed chan struct{}
}

// take takes one of the tenant's share, if there is one left. A limit of 0 is none.
func (s *shares) take(tenant string, limit int) bool {
	_, ok := s.tryOrWatch(tenant, limit)
	return ok
}

func (s *shares) tryOrWatch(tenant string, limit int) (freed <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held, s.freed = map[string]int{}, make(chan struct{})
	}
	if limit > 0 && s.held[tenant] >= limit {
		return s.freed, false
	}
	s.held[tenant]++
	return nil, true
}

func (s *shares) giveBack(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[tenant]--; s.held[tenant] <= 0 {
		delete(s.held, tenant)
	}
	close(s.freed)
	s.freed = make(chan struct{})
}

// List reads a page of the caller's jobs. Which states they are in, which labels they
// have or what text they hold, no index tells, and those whose ids begin alike are looked
// for among everybody's: that may look at very many jobs, so it counts as a large read and
// can be a quota.Exceeded.
func (s *Service) List(ctx context.Context, q jobstore.Query) (jobstore.Page, error) {
	owner := auth.FromContext(ctx)
	if q.Text != "" || q.Prefix != "" || len(q.Status) > 0 || len(q.Labels) > 0 {
		release, err := s.TakeRead(ctx, owner)
		if err != nil {
			return jobstore.Page{}, err
		}
		defer release()
	}
	return s.Store.Jobs(ctx, owner, q)
}

// manyRows is from how many rows on sorting them is a large read.
const manyRows = 5000

// takeRows is TakeRead for a job of many rows.
func (s *Service) takeRows(ctx context.Context, j job.Job) (release func(), err error) {
	if j.Metrics != nil && j.Metrics.Combinations <= manyRows {
		return func() {}, nil
	}
	return s.TakeRead(ctx, j.TenantID)
}

// TakeRead lets a tenant begin something that reads very much: all rows of a job. The
// reader waits a while for its turn, gives it back with release, and gets a
// quota.Exceeded if it does not come.
func (s *Service) TakeRead(ctx context.Context, tenant string) (release func(), err error) {
	timer := time.NewTimer(readTimeout)
	defer timer.Stop()
	for {
		freed, ok := s.reads.tryOrWatch(tenant, s.cfg.TenantReads)
		if ok {
			return sync.OnceFunc(func() { s.reads.giveBack(tenant) }), nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
			return nil, &quota.Exceeded{What: "large reads at once", Limit: s.cfg.TenantReads, RetryAfter: readTimeout}
		}
	}
}
