package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

var _ ledger.Survey = (*Ledger)(nil)

// The conditions repeat those of the partial indexes.
var (
	unfinishedPage = "select " + listColumns + ` from pipeline_jobs
		where status in ('QUEUED', 'RUNNING') and (created_at, id) > (?, ?) order by created_at, id limit ?`
	unannouncedPage = "select " + jobColumns + ` from pipeline_jobs
		where announced_at is null and status in ('COMPLETED', 'FAILED') and (created_at, id) > (?, ?) order by created_at, id limit ?`
	lookup = "select " + listColumns + " from pipeline_jobs where id in (select value from json_each(?))"
)

// UnfinishedPage returns jobs that have not ended; see ledger.Survey.
func (l *Ledger) UnfinishedPage(ctx context.Context, after ledger.Position, limit int) ([]job.Job, error) {
	jobs, err := l.list(ctx, unfinishedPage, after.CreatedAt.UnixMicro(), after.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("list unfinished jobs: %w", err)
	}
	return jobs, nil
}

// UnannouncedPage returns ended jobs nobody was told of; see ledger.Survey.
func (l *Ledger) UnannouncedPage(ctx context.Context, after ledger.Position, limit int) ([]job.Job, error) {
	jobs, err := l.list(ctx, unannouncedPage, after.CreatedAt.UnixMicro(), after.ID, limit)
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
	ids, err := json.Marshal(names)
	if err != nil {
		return nil, fmt.Errorf("encode job ids: %w", err)
	}
	jobs, err := l.list(ctx, lookup, string(ids))
	if err != nil {
		return nil, fmt.Errorf("look %d jobs up: %w", len(names), err)
	}
	return jobs, nil
}
