package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/quota"
)

const (
	// MaxBulk is the most jobs that one call acts on.
	MaxBulk = 100
	// bulkAtOnce is how many of them are acted on at the same time.
	bulkAtOnce = 8
	// bulkTimeout bounds one call; what it has not come to is postponed. It is shorter
	// than clients wait.
	bulkTimeout = 20 * time.Second
	// bulkRetry is when it is worth sending a call again of which a store did not
	// answer.
	bulkRetry = 5 * time.Second
)

// Act is what can be done with many jobs at once.
type Act string

// The acts.
const (
	ActRetry  Act = "retry"
	ActCancel Act = "cancel"
)

// States are those that a job must be in for the act, as Job.Shown tells them.
func (a Act) States() []job.State {
	if a == ActRetry {
		return []job.State{job.Failed, job.ShownCancelled}
	}
	return []job.State{job.Queued, job.Running}
}

// Unasked are the states of jobs that the act is done to where nobody says which: what was
// cancelled is not run again unasked.
func (a Act) Unasked() []job.State {
	if a == ActRetry {
		return []job.State{job.Failed}
	}
	return a.States()
}

// Rule says which jobs the act is for.
func (a Act) Rule() string {
	if a == ActRetry {
		return "only FAILED and CANCELLED jobs can be retried"
	}
	return "only QUEUED and RUNNING jobs can be cancelled"
}

// Outcome says what became of one job of many.
type Outcome string

// The outcomes. Of a dry run there are Matches, Repeated, Refused and Missing.
const (
	// Matches: the act would be done.
	Matches Outcome = "matches"
	// Done: the job is cancelled; or it runs again, as the job that RetriedBy names.
	Done Outcome = "done"
	// Repeated: that was done before. Nothing new was made.
	Repeated Outcome = "repeated"
	// Refused: the job's state does not allow it; Reason says why.
	Refused Outcome = "refused"
	// Missing: the caller has no such job.
	Missing Outcome = "missing"
	// Postponed: nothing was done, since the caller's share is used up or a store does
	// not answer. The same call may be sent again.
	Postponed Outcome = "postponed"
)

// Bulk asks for an act on many jobs.
type Bulk struct {
	Act Act
	// IDs name the jobs, at most MaxBulk. Without them they are a page of those that
	// Query finds.
	IDs   []string
	Query jobstore.Query
	// DryRun has nothing done.
	DryRun bool
}

// BulkJob is one job of a Bulk.
type BulkJob struct {
	JobID  string `json:"job_id"`
	Ticker string `json:"ticker,omitempty"`
	// Outcome is what became of it.
	Outcome Outcome `json:"outcome"`
	// RetriedBy names the job that repeats it.
	RetriedBy string `json:"retried_by,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// BulkResult is what became of a Bulk.
type BulkResult struct {
	Act    Act       `json:"act"`
	DryRun bool      `json:"dry_run"`
	Jobs   []BulkJob `json:"jobs"`
	// Counts are the jobs by outcome.
	Counts map[Outcome]int `json:"counts"`
	// Total is how many jobs there are over all pages, told with the first one; nil
	// where that could not be counted in time.
	Total *int `json:"total,omitempty"`
	// Next is the cursor of the page that follows, empty after the last one.
	Next string `json:"next_cursor,omitempty"`
	// RetryAfter is in how many seconds to send the same call again, where some jobs
	// were postponed.
	RetryAfter int `json:"retry_after_seconds,omitempty"`

	// Err is why the first of them was.
	Err error `json:"-"`
}

// Some reports whether anything but postponing came of it.
func (r BulkResult) Some() bool { return len(r.Jobs) == 0 || r.Counts[Postponed] < len(r.Jobs) }

// Many acts on many of the caller's jobs. It is safe to repeat: a job is retried once by
// it, however often it is asked for, and one that is cancelled stays so. What becomes of
// a job is no error but its outcome; an error means that the jobs could not be listed, or
// that the caller does too much at once, a quota.Exceeded: nothing was done then.
func (s *Service) Many(ctx context.Context, b Bulk) (BulkResult, error) {
	ctx, cancel := context.WithTimeout(ctx, bulkTimeout)
	defer cancel()
	r := BulkResult{Act: b.Act, DryRun: b.DryRun, Jobs: []BulkJob{}, Counts: map[Outcome]int{}}
	if len(b.IDs) > 0 {
		for _, id := range b.IDs {
			r.Jobs = append(r.Jobs, BulkJob{JobID: id})
		}
		n := len(b.IDs)
		r.Total = &n
	} else {
		page, err := s.List(ctx, b.Query)
		if err != nil {
			return r, fmt.Errorf("list jobs: %w", err)
		}
		for _, j := range page.Jobs {
			r.Jobs = append(r.Jobs, BulkJob{JobID: j.JobID, Ticker: j.Ticker})
		}
		r.Next = page.Next
		r.Total = s.total(ctx, b.Query, page)
	}
	// What a hundred calls would have cost goes by as one.
	release, err := s.TakeRead(ctx, auth.FromContext(ctx))
	if err != nil {
		return r, err
	}
	defer release()
	do := map[Act]func(context.Context, *BulkJob) error{ActRetry: s.retryOne, ActCancel: s.cancelOne}[b.Act]
	if b.DryRun {
		do = func(ctx context.Context, one *BulkJob) error { return s.tryOne(ctx, b.Act, one) }
	}
	if b.Act == ActRetry {
		if err := s.passRetried(ctx, r.Jobs); err != nil { // then a job could be retried twice
			do = func(context.Context, *BulkJob) error { return err }
		}
	}
	r.Err = eachOf(ctx, r.Jobs, do)
	for _, one := range r.Jobs {
		r.Counts[one.Outcome]++
	}
	if r.Err != nil {
		r.RetryAfter = againIn(r.Err)
		slog.WarnContext(ctx, "bulk action stopped early, rest postponed", "act", string(b.Act), "jobs", r.Counts[Postponed], "error", r.Err)
	}
	return r, nil
}

// againIn is after how many seconds what an error has postponed may be tried again.
func againIn(err error) int {
	if full, ok := errors.AsType[*quota.Exceeded](err); ok {
		return full.Seconds()
	}
	return int(bulkRetry.Seconds())
}

// outcomeOf is one of many that are acted on.
type outcomeOf[T any] interface {
	*T
	// state is where its outcome is noted, and the reason.
	state() (outcome *Outcome, reason *string)
}

// state implements outcomeOf.
func (one *BulkJob) state() (*Outcome, *string) { return &one.Outcome, &one.Reason }

// eachOf does something with each of many, several at a time, that has no outcome yet. The
// first error that is no outcome has what is left postponed, and is returned.
func eachOf[T any, P outcomeOf[T]](ctx context.Context, all []T, do func(context.Context, P) error) error {
	var stopped atomic.Bool
	var once sync.Once
	var first error
	var running errgroup.Group
	running.SetLimit(bulkAtOnce)
	for i := range all {
		running.Go(func() error {
			one := P(&all[i])
			outcome, reason := one.state()
			if *outcome != "" {
				return nil
			}
			if stopped.Load() {
				*outcome = Postponed
				return nil
			}
			var no Conflict
			switch err := do(ctx, one); {
			case err == nil:
			case errors.As(err, &no):
				*outcome, *reason = Refused, no.Error()
			case errors.Is(err, ErrNoJob), errors.Is(err, broker.ErrNotFound):
				*outcome = Missing
			default:
				*outcome = Postponed
				stopped.Store(true)
				once.Do(func() { first = err })
			}
			return nil
		})
	}
	_ = running.Wait()
	return first
}

// passRetried passes over jobs that were retried before, by whatever way. A retry of which
// the job store does not know yet is found by its key, see retryOne.
func (s *Service) passRetried(ctx context.Context, all []BulkJob) error {
	ids := make([]string, len(all))
	for i, one := range all {
		ids[i] = one.JobID
	}
	retries, err := s.Store.Retries(ctx, auth.FromContext(ctx), ids)
	if err != nil {
		return fmt.Errorf("read retries of %d jobs: %w", len(ids), err)
	}
	for i := range all {
		if by := retries[all[i].JobID]; len(by) > 0 {
			all[i].Outcome, all[i].RetriedBy = Repeated, by[len(by)-1]
		}
	}
	return nil
}

// tryOne says what would become of a job.
func (s *Service) tryOne(ctx context.Context, act Act, one *BulkJob) error {
	j, err := s.Find(ctx, one.JobID)
	if err != nil {
		return err
	}
	one.Ticker = j.Ticker
	switch {
	case act == ActCancel && j.ErrorCode == job.Cancelled:
		one.Outcome = Repeated
	case act == ActCancel && j.Ending, !slices.Contains(act.States(), j.Shown()):
		return Conflict(act.Rule())
	default:
		one.Outcome = Matches
	}
	return nil
}

func (s *Service) cancelOne(ctx context.Context, one *BulkJob) error {
	j, err := s.Cancel(ctx, one.JobID)
	one.Ticker = j.Ticker
	one.Outcome = Done
	if err != nil && j.ErrorCode == job.Cancelled {
		one.Outcome, err = Repeated, nil
	}
	return err
}

// retryOne makes one job of a failed one, once.
func (s *Service) retryOne(ctx context.Context, one *BulkJob) error {
	// No key of a caller begins so: theirs go on with the job's id.
	got, err := s.retry(ctx, one.JobID, "retry once\n"+one.JobID)
	if err != nil {
		return err
	}
	one.Ticker, one.RetriedBy, one.Outcome = got.Header.Parameters.Ticker, got.Header.JobID, Done
	if got.Replayed {
		one.Outcome = Repeated
	}
	return nil
}

// total counts what q finds, on its first page.
func (s *Service) total(ctx context.Context, q jobstore.Query, page jobstore.Page) *int {
	n := len(page.Jobs)
	switch tenant := auth.FromContext(ctx); {
	case q.Cursor != "":
		return nil
	case page.Next == "":
		return &n
	case !s.counting.take(tenant, 1): // a tenant counts one thing at a time
		return nil
	default:
		defer s.counting.giveBack(tenant)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	counts, err := s.Store.Counts(ctx, auth.FromContext(ctx), q)
	if err != nil {
		slog.WarnContext(ctx, "counting jobs failed", "error", err)
		return nil
	}
	n = 0
	for _, state := range q.Status {
		n += counts[state]
	}
	return &n
}
