package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

var _ jobstore.Survey = (*Store)(nil)

var (
	pendingPage = "select " + jobColumns + ` from pipeline_jobs
		where id in (select job_id from pipeline_pending where job_id > ? order by job_id limit ?) order by id`
	lookup = "select " + listColumns + " from pipeline_jobs where id in (select value from json_each(?))"
)

// PendingPage returns jobs that are not done with; see jobstore.Survey.
func (l *Store) PendingPage(ctx context.Context, after string, limit int) ([]job.Job, error) {
	jobs, err := l.list(ctx, pendingPage, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list pending jobs: %w", err)
	}
	return jobs, nil
}

// Lookup returns the jobs that are known; see jobstore.Survey.
func (l *Store) Lookup(ctx context.Context, jobIDs []string) ([]job.Job, error) {
	names := jobstore.Names(jobIDs)
	if len(names) == 0 {
		return nil, nil
	}
	ids, err := json.Marshal(names)
	if err != nil {
		return nil, fmt.Errorf("encode job ids: %w", err)
	}
	jobs, err := l.list(ctx, lookup, string(ids))
	if err != nil {
		return nil, fmt.Errorf("look up %d jobs: %w", len(names), err)
	}
	return jobs, nil
}
