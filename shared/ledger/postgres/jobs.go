package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

// jobColumns are read by scanJob.
const jobColumns = `id::text, tenant_id, job_type, status::text, parameters, result, metrics, error_code, error_message,
    created_at, started_at, completed_at, attempts, trading_job_id, sweep_run_id, retry_of::text`

// listColumns leave the rows out.
var listColumns = strings.Replace(jobColumns, "result,", "null::jsonb,", 1)

func scanJob(rows pgx.Rows) (job.Job, error) {
	var j job.Job
	var parameters, best, metrics []byte
	var code, message, tradingJob, sweepRun, retryOf *string
	err := rows.Scan(&j.JobID, &j.TenantID, &j.JobType, &j.Status, &parameters, &best, &metrics, &code, &message,
		&j.CreatedAt, &j.StartedAt, &j.CompletedAt, &j.Attempts, &tradingJob, &sweepRun, &retryOf)
	if err != nil {
		return j, fmt.Errorf("read job: %w", err)
	}
	for _, part := range []struct {
		raw  []byte
		into any
	}{{parameters, &j.Parameters}, {best, &j.Results}, {metrics, &j.Metrics}} {
		if part.raw == nil {
			continue
		}
		if err := json.Unmarshal(part.raw, part.into); err != nil {
			return j, fmt.Errorf("read job %s: %w", j.JobID, err)
		}
	}
	j.ErrorCode = job.ErrorCode(orEmpty(code))
	j.ErrorMessage = orEmpty(message)
	j.TradingJobID, j.SweepRunID, j.RetryOf = orEmpty(tradingJob), orEmpty(sweepRun), orEmpty(retryOf)
	return ledger.Complete(j), nil
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Job returns one job; see ledger.Ledger.
func (l *Ledger) Job(ctx context.Context, tenantID, id string) (job.Job, error) {
	if !job.ValidID(id) {
		return job.Job{}, ledger.ErrNotFound
	}
	jobs, err := l.list(ctx, tenant(tenantID), "select "+jobColumns+" from pipeline_jobs where id = $1::uuid and tenant_id = $2", id, tenantID)
	switch {
	case err != nil:
		return job.Job{}, fmt.Errorf("read job %s: %w", id, err)
	case len(jobs) == 0:
		return job.Job{}, ledger.ErrNotFound
	}
	return jobs[0], nil
}

func (l *Ledger) list(ctx context.Context, s scope, sql string, args ...any) ([]job.Job, error) {
	jobs := []job.Job{}
	err := l.read(ctx, s, sql, args, func(rows pgx.Rows) error {
		j, err := scanJob(rows)
		jobs = append(jobs, j)
		return err
	})
	return jobs, err
}

// filter is a growing where clause.
type filter struct {
	clauses []string
	args    []any
}

// add appends a clause; each ? in it becomes the number of the next argument.
func (f *filter) add(clause string, args ...any) {
	for _, a := range args {
		f.args = append(f.args, a)
		clause = strings.Replace(clause, "?", fmt.Sprintf("$%d", len(f.args)), 1)
	}
	f.clauses = append(f.clauses, clause)
}

func (f *filter) where() string { return " where " + strings.Join(f.clauses, " and ") }

// narrow holds the filters that Jobs and Counts share.
func narrow(tenantID string, q ledger.Query) *filter {
	f := &filter{}
	f.add("tenant_id = ?", tenantID)
	if q.Ticker != "" {
		f.add("ticker = upper(?)", ledger.Text(q.Ticker, 64))
	}
	if !q.Since.IsZero() {
		f.add("created_at >= ?", q.Since)
	}
	if !q.Until.IsZero() {
		f.add("created_at < ?", q.Until)
	}
	if needle := q.Needle(); needle != "" {
		f.add("strpos(search, lower(?)) > 0", needle)
	}
	return f
}

// Jobs returns a page of jobs; see ledger.Ledger.
func (l *Ledger) Jobs(ctx context.Context, tenantID string, q ledger.Query) (ledger.Page, error) {
	after, paging, err := ledger.DecodePosition(q.Cursor)
	if err != nil {
		return ledger.Page{}, err
	}
	f := narrow(tenantID, q)
	if len(q.Status) > 0 {
		f.add("status = any(?::text[]::pipeline_job_status[])", q.States())
	}
	if paging {
		f.add("(created_at, id) < (?, ?::uuid)", after.CreatedAt, after.ID)
	}
	sql := "select " + listColumns + " from pipeline_jobs" + f.where() +
		fmt.Sprintf(" order by created_at desc, id desc limit %d", q.PageSize()+1)
	jobs, err := l.list(ctx, tenant(tenantID), sql, f.args...)
	if err != nil {
		return ledger.Page{}, fmt.Errorf("list jobs: %w", err)
	}
	return ledger.Cut(jobs, q.PageSize()), nil
}

// Counts returns how many jobs stand in each state; see ledger.Ledger.
func (l *Ledger) Counts(ctx context.Context, tenantID string, q ledger.Query) (map[job.State]int, error) {
	counts := map[job.State]int{job.Queued: 0, job.Running: 0, job.Completed: 0, job.Failed: 0}
	f := narrow(tenantID, q)
	err := l.read(ctx, tenant(tenantID), "select status::text, count(*) from pipeline_jobs"+f.where()+" group by status", f.args, func(rows pgx.Rows) error {
		var s job.State
		var n int
		err := rows.Scan(&s, &n)
		counts[s] = n
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return counts, nil
}

// Unfinished returns every job that has not ended; see ledger.Ledger.
func (l *Ledger) Unfinished(ctx context.Context) ([]job.Header, error) {
	jobs, err := l.list(ctx, service, "select "+listColumns+" from pipeline_jobs where status in ('QUEUED', 'RUNNING') order by created_at, id")
	if err != nil {
		return nil, fmt.Errorf("list unfinished jobs: %w", err)
	}
	headers := make([]job.Header, len(jobs))
	for i, j := range jobs {
		headers[i] = ledger.HeaderOf(j)
	}
	return headers, nil
}

// Unannounced returns the ended jobs nobody was told of; see ledger.Ledger.
func (l *Ledger) Unannounced(ctx context.Context) ([]job.Job, error) {
	jobs, err := l.list(ctx, service, "select "+jobColumns+` from pipeline_jobs
		where announced_at is null and status in ('COMPLETED', 'FAILED') order by created_at, id`)
	if err != nil {
		return nil, fmt.Errorf("list unannounced jobs: %w", err)
	}
	return jobs, nil
}

// Timeline returns a job's events; see ledger.Ledger.
func (l *Ledger) Timeline(ctx context.Context, tenantID, id string) ([]job.TimelineEvent, error) {
	if !job.ValidID(id) {
		return nil, ledger.ErrNotFound
	}
	events := []job.TimelineEvent{}
	err := l.read(ctx, tenant(tenantID), `select id, type, time, attempt, error, data from pipeline_job_events
		where job_id = $1::uuid and tenant_id = $2 order by time, seq`, []any{id, tenantID}, func(rows pgx.Rows) error {
		var e job.TimelineEvent
		var data []byte
		if err := rows.Scan(&e.ID, &e.Type, &e.Time, &e.Attempt, &e.Error, &data); err != nil {
			return err
		}
		e.Time = e.Time.UTC()
		events = append(events, e)
		return json.Unmarshal(data, &events[len(events)-1].Data)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read timeline of job %s: %w", id, err)
	case len(events) == 0:
		return nil, ledger.ErrNotFound
	}
	return events, nil
}
