package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

// Conflict is the error of an act that the job's state does not allow.
type Conflict string //nolint:errname // jobs.Conflict says it

// Error says what stands against it.
func (c Conflict) Error() string { return string(c) }

// Cancel ends a job's wait, which nothing can undo. What follows from it is
// the supervisor's: it stops what runs and sends sweep.failed.
func (s *Service) Cancel(ctx context.Context, id string) (Found, error) {
	j, err := s.Find(ctx, id)
	if err != nil {
		return j, err
	}
	if j.Status.Terminal() {
		return j, Conflict("the job has ended already")
	}
	_, err = s.Waits.Cancel(ctx, id)
	if errors.Is(err, wait.ErrUnknown) && s.Lost != nil {
		// Open as it is, its record went with a Redis that came back empty.
		if _, err := s.Lost.Find(ctx, id); err != nil && !errors.Is(err, jobstore.ErrNotFound) {
			return j, fmt.Errorf("cancel job %s: %w", id, err)
		}
		_, err = s.Waits.Cancel(ctx, id)
	}
	switch {
	case errors.Is(err, wait.ErrUnknown):
		return j, Conflict("the job has nothing left to cancel")
	case err != nil:
		return j, fmt.Errorf("cancel job %s: %w", id, err)
	}
	if j, err = s.Find(ctx, id); err != nil {
		return j, err
	}
	if j.ErrorCode != job.Cancelled { // another end came first
		return j, Conflict("the job has ended already")
	}
	slog.InfoContext(ctx, "job cancelled by its owner", "job_id", id, "tenant_id", j.TenantID)
	return j, nil
}

// Retry makes a new job of a failed one. With a key, asking twice makes one.
func (s *Service) Retry(ctx context.Context, id, key string) (enqueue.Accepted, error) {
	if len(key) > 2*enqueue.MaxKey { // the page's own is short
		return enqueue.Accepted{}, job.Invalid{{Field: "key", Message: "is too long"}}
	}
	if key != "" {
		key = "retry\n" + id + "\n" + key // no header holds a newline: apart from receive's keys
	}
	return s.retry(ctx, id, key)
}

func (s *Service) retry(ctx context.Context, id, key string) (enqueue.Accepted, error) {
	j, err := s.Find(ctx, id)
	if err != nil {
		return enqueue.Accepted{}, err
	}
	if j.Status != job.Failed {
		return enqueue.Accepted{}, Conflict("only a failed job can be retried")
	}
	ctx, cancel := context.WithTimeout(telemetry.Start(ctx), 8*time.Second)
	defer cancel()
	got, err := s.Enqueuer.Enqueue(ctx, enqueue.Request{Tenant: auth.FromContext(ctx), Key: key, Sweep: j.Parameters, Labels: j.Labels,
		NotifyURL: j.NotifyURL, RetryOf: id, GroupID: j.GroupID, Shares: s.Keys.Shares()})
	if err != nil {
		return got, fmt.Errorf("retry job %s: %w", id, err)
	}
	h := got.Header
	slog.InfoContext(ctx, "Job queued", "job_id", h.JobID, "job_type", h.JobType, "tenant_id", h.TenantID, //nolint:sloglint // the wording is promised
		"ticker", h.Parameters.Ticker, "status", string(job.Queued), "retry_of", id)
	return got, nil
}
