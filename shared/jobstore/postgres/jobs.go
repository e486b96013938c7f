package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// jobColumns are what a jobRow reads.
const jobColumns = `id::text, tenant_id, job_type, status::text, parameters, result, metrics, error_code, error_message,
    created_at, started_at, completed_at, attempts, trading_job_id, sweep_run_id, retry_of::text, group_id::text, labels, notify_url`

// listColumns leave the rows out.
var listColumns = strings.Replace(jobColumns, "result,", "null::jsonb,", 1)

// collecting is how far a job's rows are stored.
const collecting = `(select next_offset from pipeline_collections k where k.job_id = pipeline_jobs.id),
    (select total from pipeline_collections k where k.job_id = pipeline_jobs.id)`

// jobRow is a row of pipeline_jobs. Anything may stand there: a value that is
// not one of ours must not keep the rest of a list from being read.
type jobRow struct {
	id                                        string
	tenant, jobType, status                   *string
	parameters, best, metrics                 []byte
	code, message, sweep, run, retryOf, group *string
	labels                                    []byte
	notifyURL                                 *string
	created, started, completed               pgtype.Timestamptz
	attempts                                  *int32
}

func (r *jobRow) targets() []any {
	return []any{
		&r.id, &r.tenant, &r.jobType, &r.status, &r.parameters, &r.best, &r.metrics, &r.code, &r.message,
		&r.created, &r.started, &r.completed, &r.attempts, &r.sweep, &r.run, &r.retryOf, &r.group, &r.labels, &r.notifyURL,
	}
}

func (r *jobRow) job() job.Job {
	j := job.Job{
		JobID: r.id, TenantID: orEmpty(r.tenant), JobType: orEmpty(r.jobType), Status: job.State(orEmpty(r.status)),
		ErrorCode: job.ErrorCode(orEmpty(r.code)), ErrorMessage: orEmpty(r.message),
		TradingJobID: orEmpty(r.sweep), SweepRunID: orEmpty(r.run), RetryOf: orEmpty(r.retryOf), GroupID: orEmpty(r.group), NotifyURL: orEmpty(r.notifyURL),
		StartedAt: instant(r.started), CompletedAt: instant(r.completed),
	}
	if at := instant(r.created); at != nil {
		j.CreatedAt = *at
	}
	if r.attempts != nil {
		j.Attempts = int(*r.attempts)
	}
	return jobstore.Complete(jobstore.Decode(j, r.parameters, r.best, r.metrics, r.labels))
}

// instant is t within the years that JSON can tell.
func instant(t pgtype.Timestamptz) *time.Time {
	switch {
	case !t.Valid:
		return nil
	case t.InfinityModifier == pgtype.Infinity:
		t.Time = jobstore.Latest
	case t.InfinityModifier == pgtype.NegativeInfinity:
		t.Time = jobstore.Earliest
	}
	at := jobstore.Between(t.Time)
	return &at
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func orZero(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// Job returns one job; see jobstore.Store.
func (l *Store) Job(ctx context.Context, tenantID, id string) (job.Job, error) {
	if !job.ValidID(id) {
		return job.Job{}, jobstore.ErrNotFound
	}
	var found []job.Job
	err := l.read(ctx, l.tenant(tenantID), "select "+jobColumns+", "+collecting+" from pipeline_jobs where id = $1 and tenant_id is not distinct from $2", []any{id, tenantID}, func(rows pgx.Rows) error {
		var r jobRow
		var next, total *int
		if err := rows.Scan(append(r.targets(), &next, &total)...); err != nil {
			return err
		}
		found = append(found, jobstore.WithCollecting(r.job(), orZero(next), orZero(total)))
		return nil
	})
	switch {
	case err != nil:
		return job.Job{}, fmt.Errorf("read job %s: %w", id, err)
	case len(found) == 0:
		return job.Job{}, jobstore.ErrNotFound
	}
	return found[0], nil
}

func (l *Store) list(ctx context.Context, s scope, sql string, args ...any) ([]job.Job, error) {
	jobs := []job.Job{}
	err := l.read(ctx, s, sql, args, func(rows pgx.Rows) error {
		var r jobRow
		if err := rows.Scan(r.targets()...); err != nil {
			return fmt.Errorf("read job: %w", err)
		}
		jobs = append(jobs, r.job())
		return nil
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

// inStates keeps jobs in the states that are wanted.
func (f *filter) inStates(q jobstore.Query) {
	states, failed, cancelled := q.Stored()
	if len(states) == 1 && cancelled && !failed {
		f.add("error_code = 'cancelled'") // by the index of these
		return
	}
	// As literals: a plan that knows them can take the index that leaves
	// completed jobs out. They are words of ours, so they may stand in SQL.
	f.add("status = any('{" + strings.Join(states, ",") + "}'::pipeline_job_status[])")
	switch {
	case failed && !cancelled:
		f.add("error_code is distinct from 'cancelled'")
	case cancelled && !failed:
		f.add("(status <> 'FAILED' or error_code = 'cancelled')")
	}
}

// narrow holds the filters that Jobs and Counts share.
func narrow(tenantID string, q jobstore.Query) *filter {
	f := &filter{}
	if q.Prefix != "" {
		least, greatest := q.IDs()
		f.add("id between ?::uuid and ?::uuid", least, greatest) // by the primary key:
		f.add("tenant_id is not distinct from ?", tenantID)      // no index of the tenant's jobs serves this
	} else {
		f.add("tenant_id = ?", tenantID)
	}
	if q.Ticker != "" {
		f.add("ticker = upper(?)", jobstore.Text(q.Ticker, 64))
	}
	if q.Group != "" {
		f.add("group_id = ?::uuid", q.Group)
	}
	if len(q.Labels) > 0 {
		f.add("labels is not null") // by the index of these
		// A case is taken for half of the rows: so the index is read in its order until the
		// page is full, and not all of it to be sorted, as for a label that is thought rare.
		f.add("case when labels @> ?::jsonb then true else false end", jobstore.Labels(q.Labels))
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

// Jobs returns a page of jobs; see jobstore.Store.
func (l *Store) Jobs(ctx context.Context, tenantID string, q jobstore.Query) (jobstore.Page, error) {
	if q.Sort == jobstore.BestFirst {
		return l.jobsByScore(ctx, tenantID, q)
	}
	after, paging, err := jobstore.DecodePosition(q.Cursor)
	if err != nil {
		return jobstore.Page{}, err
	}
	f := narrow(tenantID, q)
	if len(q.Status) > 0 {
		f.inStates(q)
	}
	if paging {
		f.add("(created_at, id) < (?, ?::uuid)", after.CreatedAt, after.ID)
	}
	sql := "select " + listColumns + " from pipeline_jobs" + f.where() +
		fmt.Sprintf(" order by created_at desc, id desc limit %d", q.PageSize()+1)
	jobs, err := l.list(ctx, l.tenant(tenantID), sql, f.args...)
	if err != nil {
		return jobstore.Page{}, fmt.Errorf("list jobs: %w", err)
	}
	return jobstore.Cut(jobs, q.PageSize()), nil
}

// Counts returns how many jobs stand in each state; see jobstore.Store.
func (l *Store) Counts(ctx context.Context, tenantID string, q jobstore.Query) (map[job.State]int, error) {
	counts := jobstore.NoCounts()
	f := narrow(tenantID, q)
	// Two counts, so that each can be of an index alone.
	sql := "select status::text, count(*) from pipeline_jobs" + f.where() + " group by status union all " +
		"select 'CANCELLED', count(*) from pipeline_jobs" + f.where() + " and error_code = 'cancelled'"
	err := l.read(ctx, l.tenant(tenantID), sql, f.args, func(rows pgx.Rows) error {
		var s job.State
		var n int
		err := rows.Scan(&s, &n)
		counts[s] = n
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	counts[job.Failed] -= counts[job.ShownCancelled]
	return counts, nil
}

// Retries returns the jobs that repeat others; see jobstore.Store.
func (l *Store) Retries(ctx context.Context, tenantID string, ids []string) (map[string][]string, error) {
	found := map[string][]string{}
	names := jobstore.Names(ids)
	if len(names) == 0 {
		return found, nil
	}
	// Materialized, and "is not distinct from", keep from an index of the tenant's jobs,
	// which has them in order, and is all of them.
	err := l.read(ctx, l.tenant(tenantID), `with r as materialized (
			select id, retry_of, created_at from pipeline_jobs where retry_of = any($1::uuid[]) and tenant_id is not distinct from $2)
		select retry_of::text, id::text from r order by created_at desc, id desc limit $3`, []any{names, tenantID, jobstore.MaxRetries}, func(rows pgx.Rows) error {
		var of, id string
		err := rows.Scan(&of, &id)
		found[of] = slices.Insert(found[of], 0, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read retries of jobs: %w", err)
	}
	return found, nil
}

// Timeline returns a job's events; see jobstore.Store.
func (l *Store) Timeline(ctx context.Context, tenantID, id string) ([]job.TimelineEvent, error) {
	if !job.ValidID(id) {
		return nil, jobstore.ErrNotFound
	}
	events := []job.TimelineEvent{}
	err := l.read(ctx, l.tenant(tenantID), `select id, type, time, attempt, error, data from pipeline_job_events
		where job_id = $1 and tenant_id = $2`, []any{id, tenantID}, func(rows pgx.Rows) error {
		var e job.TimelineEvent
		var at pgtype.Timestamptz
		var data []byte
		if err := rows.Scan(&e.ID, &e.Type, &at, &e.Attempt, &e.Error, &data); err != nil {
			return err
		}
		if t := instant(at); t != nil {
			e.Time = *t
		}
		e.Data = jobstore.DecodeData(data)
		events = append(events, e)
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read timeline of job %s: %w", id, err)
	case len(events) == 0:
		return nil, jobstore.ErrNotFound
	}
	return jobstore.Timeline(events, func() (job.Job, error) { return l.Job(ctx, tenantID, id) })
}
