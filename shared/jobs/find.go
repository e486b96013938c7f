package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/rfc3339"
	"github.com/zixly/sweepline/shared/wait"
)

// storeTimeout is how long one look into the job store may keep a reader
// waiting before the wait record has to do.
const storeTimeout = 2 * time.Second

// liveTimeout is how long a list waits for what the wait records know.
const liveTimeout = 500 * time.Millisecond

// ErrNoJob: the tenant has no such job, as far as all stores say.
var ErrNoJob = errors.New("no such job")

// Found is a job as all that is known of it tells: the JSON of a job in answers.
type Found struct {
	job.Job

	// DisplayStatus is the state that people are told: CANCELLED for a job that FAILED
	// since its owner cancelled it, else Status.
	DisplayStatus job.State `json:"display_status"`
	// RetriedBy are the jobs that repeat this one, oldest first, as TellRetries knows.
	RetriedBy []string `json:"retried_by,omitempty"`
	// Settled says that the end is written in the job store: nothing will change.
	Settled bool `json:"-"`
	// Ending says that the wait record knows an end that the job store does not.
	Ending bool `json:"-"`
	// Place is its position in the queue for a slot, from 1; 0 for a job that is not
	// queued, and for callers who do not operate the broker: it would tell them how much
	// others want.
	Place int `json:"place,omitempty"`
	// ElapsedSeconds runs from CreatedAt to now, for a job that has not ended.
	ElapsedSeconds float64 `json:"elapsed_seconds,omitempty"`
	// ETA is when its sweep may end, to the second; nil where nothing tells, and once
	// that has passed. It is an estimate.
	ETA *time.Time `json:"eta,omitempty"`
}

// MarshalJSON writes times as all answers do.
func (f Found) MarshalJSON() ([]byte, error) {
	type plain Found // without this method
	return json.Marshal(struct {
		plain

		CreatedAt   rfc3339.Milli  `json:"created_at"`
		StartedAt   *rfc3339.Milli `json:"started_at,omitempty"`
		CompletedAt *rfc3339.Milli `json:"completed_at,omitempty"`
		ETA         *rfc3339.Milli `json:"eta,omitempty"`
	}{
		plain(f), rfc3339.Milli(f.CreatedAt), rfc3339.MilliOf(f.StartedAt), rfc3339.MilliOf(f.CompletedAt), rfc3339.MilliOf(f.ETA),
	})
}

// Find reads a job from the job store and, while it has not ended there, adds
// what its wait record knows. The job store may lag or be gone: then the record
// alone must do. A job of another tenant is ErrNoJob; any other error means
// that it cannot be told whether there is such a job.
func (s *Service) Find(ctx context.Context, id string) (Found, error) {
	if !job.ValidID(id) {
		return Found{}, ErrNoJob
	}
	owner := auth.FromContext(ctx)
	storeCtx, cancel := context.WithTimeout(ctx, storeTimeout)
	j, storeErr := s.Store.Job(storeCtx, owner, id)
	cancel()
	if storeErr == nil && j.Status.Terminal() {
		return s.timed(ctx, Found{Job: j, Settled: true}, wait.Record{}), nil
	}
	if storeErr != nil && !errors.Is(storeErr, jobstore.ErrNotFound) {
		slog.WarnContext(ctx, "job store does not answer", "job_id", id, "error", storeErr)
	}
	rec, waitErr := s.Waits.Get(ctx, id)
	known := waitErr == nil && rec.Header.TenantID == owner
	switch {
	case storeErr == nil && known:
		return s.merge(ctx, j, rec), nil
	case storeErr == nil:
		return s.timed(ctx, Found{Job: j}, rec), nil
	case known:
		return s.merge(ctx, jobOf(rec.Header), rec), nil
	case waitErr != nil && !errors.Is(waitErr, wait.ErrUnknown):
		return Found{}, fmt.Errorf("read wait record: %w", waitErr)
	case errors.Is(storeErr, jobstore.ErrNotFound), waitErr == nil: // nobody's, or somebody else's
		return Found{}, ErrNoJob
	default:
		return Found{}, fmt.Errorf("read job store: %w", storeErr)
	}
}

// jobOf is a job of which nothing is known but that it was accepted.
func jobOf(h job.Header) job.Job {
	return job.Job{
		JobID: h.JobID, TenantID: h.TenantID, JobType: h.JobType, Status: job.Queued, Ticker: h.Parameters.Ticker,
		Parameters: h.Parameters, RetryOf: h.RetryOf, GroupID: h.GroupID, Labels: h.Labels, NotifyURL: h.NotifyURL, CreatedAt: h.CreatedAt, Results: []job.Row{},
	}
}

// merge moves j forward by its wait record, never back. A sweep whose end is
// known but not stored still runs: its results are on their way, and storing
// them may yet fail.
func (s *Service) merge(ctx context.Context, j job.Job, rec wait.Record) Found {
	out := Found{Job: j, Ending: rec.JobState().Terminal()}
	if s.Operates(ctx) { // all tenants stand in the one line
		out.Place = rec.Place
	}
	switch rec.JobState() {
	case job.Failed:
		out.Status, out.ErrorCode, out.ErrorMessage = job.Failed, rec.ErrorCode, rec.ErrorMessage
	case job.Running, job.Completed:
		out.Status = job.Running
	}
	out.Progress = max(j.Progress, rec.Progress)
	if out.TradingJobID == "" {
		out.TradingJobID = rec.TradingJobID
	}
	if out.SweepRunID == "" {
		out.SweepRunID = rec.SweepRunID
	}
	if out.StartedAt == nil && !rec.StartedAt.IsZero() {
		at := rec.StartedAt.UTC()
		out.StartedAt = &at
	}
	return s.timed(ctx, out, rec)
}

// Live adds to open jobs what their wait records know, read together: progress, place
// in the queue, times. Redis may be away; the job store's word stands then.
func (s *Service) Live(ctx context.Context, jobs []job.Job) []Found {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	var open []string
	for _, j := range jobs {
		if !j.Status.Terminal() {
			open = append(open, j.JobID)
		}
	}
	var records map[string]wait.Record
	if len(open) > 0 {
		var err error
		if records, err = s.Waits.Records(ctx, open...); err != nil {
			slog.WarnContext(ctx, "wait records not read", "jobs", len(open), "error", err)
		}
	}
	out := make([]Found, len(jobs))
	for i, j := range jobs {
		out[i] = Found{Job: j, Settled: j.Status.Terminal()}
		if rec, known := records[j.JobID]; known && rec.Header.TenantID == j.TenantID {
			out[i] = s.merge(ctx, j, rec)
		} else {
			out[i] = s.timed(ctx, out[i], wait.Record{})
		}
	}
	return out
}

// TellRetries adds to failed jobs by which they were retried, read together. The job store
// may be away: they are then shown without.
func (s *Service) TellRetries(ctx context.Context, found []Found) {
	var failed []string
	for _, j := range found {
		if j.Status == job.Failed {
			failed = append(failed, j.JobID)
		}
	}
	if len(failed) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	retries, err := s.Store.Retries(ctx, auth.FromContext(ctx), failed)
	if err != nil {
		slog.WarnContext(ctx, "reading retries failed", "jobs", len(failed), "error", err)
		return
	}
	for i := range found {
		found[i].RetriedBy = retries[found[i].JobID]
	}
}

// Timeline is empty, and not missing, for a job the job store has yet to hear of.
func (s *Service) Timeline(ctx context.Context, id string) ([]job.TimelineEvent, error) {
	if !job.ValidID(id) {
		return nil, ErrNoJob
	}
	events, err := s.Store.Timeline(ctx, auth.FromContext(ctx), id)
	if errors.Is(err, jobstore.ErrNotFound) {
		_, err = s.Find(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	if events == nil {
		events = []job.TimelineEvent{}
	}
	return events, nil
}
