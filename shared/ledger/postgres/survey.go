package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

var _ ledger.Survey = (*Ledger)(nil)

// The conditions repeat those of the partial indexes pipeline_jobs_unfinished
// and pipeline_jobs_unannounced, or the planner would not use them.
var (
	unfinishedPage = "select " + listColumns + ` from pipeline_jobs
		where status in ('QUEUED', 'RUNNING') and (created_at, id) > ($1, $2::uuid) order by created_at, id limit $3`
	unannouncedPage = "select " + jobColumns + ` from pipeline_jobs
		where announced_at is null and status in ('COMPLETED', 'FAILED') and (created_at, id) > ($1, $2::uuid) order by created_at, id limit $3`
	lookup = "select " + listColumns + " from pipeline_jobs where id = any($1::text[]::uuid[])"
)

// UnfinishedPage returns jobs that have not ended; see ledger.Survey.
func (l *Ledger) UnfinishedPage(ctx context.Context, after ledger.Position, limit int) ([]job.Job, error) {
	jobs, err := l.list(ctx, service, unfinishedPage, after.CreatedAt, idOf(after), limit)
	if err != nil {
		return nil, fmt.Errorf("list unfinished jobs: %w", err)
	}
	return jobs, nil
}

// UnannouncedPage returns ended jobs nobody was told of; see ledger.Survey.
func (l *Ledger) UnannouncedPage(ctx context.Context, after ledger.Position, limit int) ([]job.Job, error) {
	jobs, err := l.list(ctx, service, unannouncedPage, after.CreatedAt, idOf(after), limit)
	if err != nil {
		return nil, fmt.Errorf("list unannounced jobs: %w", err)
	}
	return jobs, nil
}

// Lookup returns the jobs that are known; see ledger.Survey.
func (l *Ledger) Lookup(ctx context.Context, jobIDs []string) ([]job.Job, error) {
	names := ledger.Names(jobIDs)
	if len(names) == 0 {
		return nil, nil
	}
	jobs, err := l.list(ctx, service, lookup, names)
	if err != nil {
		return nil, fmt.Errorf("look %d jobs up: %w", len(names), err)
	}
	return jobs, nil
}

// idOf is the id of a position; the zero one stands before every job.
func idOf(p ledger.Position) string {
	if p.ID == "" {
		return uuid.Nil.String()
	}
	return p.ID
}
