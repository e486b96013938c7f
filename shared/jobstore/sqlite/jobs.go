package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// jobColumns are read by scanJob.
const jobColumns = `id, tenant_id, job_type, status, parameters, result, metrics, error_code, error_message,
    created_at, started_at, completed_at, attempts, trading_job_id, sweep_run_id, retry_of, group_id, labels, notify_url`

// listColumns leave the rows out.
var listColumns = strings.Replace(jobColumns, "result,", "null,", 1)

// collecting is how far a job's rows are stored.
const collecting = `(select next_offset from pipeline_collections k where k.job_id = pipeline_jobs.id),
    (select total from pipeline_collections k where k.job_id = pipeline_jobs.id)`

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(into ...any) error }

// scanJob reads jobColumns, and what stands behind them into more.
func scanJob(row scanner, more ...any) (job.Job, error) {
	var j job.Job
	var parameters string
	var best, metrics, code, message, tradingJob, sweepRun, retryOf, group, labels, notifyURL sql.NullString
	var created int64
	var started, completed sql.NullInt64
	err := row.Scan(append([]any{
		&j.JobID, &j.TenantID, &j.JobType, &j.Status, &parameters, &best, &metrics, &code, &message,
		&created, &started, &completed, &j.Attempts, &tradingJob, &sweepRun, &retryOf, &group, &labels, &notifyURL,
	}, more...)...)
	if err != nil {
		return j, fmt.Errorf("read job: %w", err)
	}
	j.CreatedAt = jobstore.Between(time.UnixMicro(created))
	j.StartedAt, j.CompletedAt = instant(started), instant(completed)
	j.ErrorCode, j.ErrorMessage = job.ErrorCode(code.String), message.String
	j.TradingJobID, j.SweepRunID, j.RetryOf, j.GroupID, j.NotifyURL = tradingJob.String, sweepRun.String, retryOf.String, group.String, notifyURL.String
	return jobstore.Complete(jobstore.Decode(j, []byte(parameters), []byte(best.String), []byte(metrics.String), []byte(labels.String))), nil
}

func instant(n sql.NullInt64) *time.Time {
	if !n.Valid {
		return nil
	}
	t := jobstore.Between(time.UnixMicro(n.Int64))
	return &t
}

// Job returns one job; see jobstore.Store.
func (l *Store) Job(ctx context.Context, tenant, id string) (job.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var next, total sql.NullInt64
	j, err := scanJob(l.reader.QueryRowContext(ctx, "select "+jobColumns+", "+collecting+" from pipeline_jobs where id = ? and tenant_id = ?", id, tenant), &next, &total)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return job.Job{}, jobstore.ErrNotFound
	case err != nil:
		return job.Job{}, fmt.Errorf("read job %s: %w", id, classify(err))
	}
	return jobstore.WithCollecting(j, int(next.Int64), int(total.Int64)), nil
}

// read runs a query and hands each row to scan.
func (l *Store) read(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := l.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return classify(err)
		}
	}
	return classify(rows.Err())
}

func (l *Store) list(ctx context.Context, query string, args ...any) ([]job.Job, error) {
	jobs := []job.Job{}
	err := l.read(ctx, query, args, func(rows *sql.Rows) error {
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

func (f *filter) add(clause string, args ...any) {
	f.clauses = append(f.clauses, clause)
	f.args = append(f.args, args...)
}

func (f *filter) where() string { return " where " + strings.Join(f.clauses, " and ") }

// inStates keeps jobs in the states that are wanted.
func (f *filter) inStates(q jobstore.Query) error {
	stored, failed, cancelled := q.Stored()
	if len(stored) == 1 && cancelled && !failed {
		f.add("error_code = 'cancelled'") // by the index of these
		return nil
	}
	states, err := json.Marshal(stored)
	if err != nil {
		return fmt.Errorf("encode states: %w", err)
	}
	f.add("status in (select value from json_each(?))", string(states))
	switch {
	case failed && !cancelled:
		f.add("error_code is not 'cancelled'")
	case cancelled && !failed:
		f.add("(status <> 'FAILED' or error_code = 'cancelled')")
	}
	return nil
}

// narrow holds the filters that Jobs and Counts share.
func narrow(tenant string, q jobstore.Query) *filter {
	f := &filter{}
	if q.Prefix != "" {
		least, greatest := q.IDs()
		f.add("id between ? and ?", least, greatest) // by the primary key:
		f.add("+tenant_id = ?", tenant)              // no index of the tenant's jobs serves this
	} else {
		f.add("tenant_id = ?", tenant)
	}
	if q.Ticker != "" {
		f.add("ticker = upper(?)", q.Ticker)
	}
	if q.Group != "" {
		f.add("group_id = ?", q.Group)
	}
	if len(q.Labels) > 0 {
		f.add("labels is not null") // by the index of these
		f.add("not exists (select value from json_each(?) except select value from json_each(labels))", jobstore.Labels(q.Labels))
	}
	if !q.Since.IsZero() {
		f.add("created_at >= ?", q.Since.UnixMicro())
	}
	if !q.Until.IsZero() {
		f.add("created_at < ?", q.Until.UnixMicro())
	}
	if needle := q.Needle(); needle != "" {
		f.add("instr(search, lower(?)) > 0", needle)
	}
	return f
}

// Jobs returns a page of jobs; see jobstore.Store.
func (l *Store) Jobs(ctx context.Context, tenant string, q jobstore.Query) (jobstore.Page, error) {
	if q.Sort == jobstore.BestFirst {
		return l.jobsByScore(ctx, tenant, q)
	}
	after, paging, err := jobstore.DecodePosition(q.Cursor)
	if err != nil {
		return jobstore.Page{}, err
	}
	f := narrow(tenant, q)
	if len(q.Status) > 0 {
		if err := f.inStates(q); err != nil {
			return jobstore.Page{}, err
		}
	}
	if paging {
		f.add("(created_at, id) < (?, ?)", after.CreatedAt.UnixMicro(), after.ID)
	}
	jobs, err := l.list(ctx, "select "+listColumns+" from pipeline_jobs"+f.where()+
		fmt.Sprintf(" order by created_at desc, id desc limit %d", q.PageSize()+1), f.args...)
	if err != nil {
		return jobstore.Page{}, fmt.Errorf("list jobs: %w", err)
	}
	return jobstore.Cut(jobs, q.PageSize()), nil
}

// Counts returns how many jobs stand in each state; see jobstore.Store.
func (l *Store) Counts(ctx context.Context, tenant string, q jobstore.Query) (map[job.State]int, error) {
	counts := jobstore.NoCounts()
	f := narrow(tenant, q)
	// Two counts, so that each can be of an index alone.
	query := "select status, count(*) from pipeline_jobs" + f.where() + " group by status union all " +
		"select 'CANCELLED', count(*) from pipeline_jobs" + f.where() + " and error_code = 'cancelled'"
	err := l.read(ctx, query, slices.Concat(f.args, f.args), func(rows *sql.Rows) error {
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
func (l *Store) Retries(ctx context.Context, tenant string, ids []string) (map[string][]string, error) {
	found := map[string][]string{}
	names, err := json.Marshal(jobstore.Names(ids))
	if err != nil {
		return nil, fmt.Errorf("encode ids: %w", err)
	}
	// + keeps from an index of the tenant's jobs, which has them in order, and is all of them.
	err = l.read(ctx, `select retry_of, id from pipeline_jobs where retry_of in (select value from json_each(?)) and +tenant_id = ?
		order by created_at desc, id desc limit ?`, []any{string(names), tenant, jobstore.MaxRetries}, func(rows *sql.Rows) error {
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
func (l *Store) Timeline(ctx context.Context, tenant, id string) ([]job.TimelineEvent, error) {
	events := []job.TimelineEvent{}
	err := l.read(ctx, "select id, type, time, attempt, error, data from pipeline_job_events where job_id = ? and tenant_id = ?", []any{id, tenant}, func(rows *sql.Rows) error {
		var e job.TimelineEvent
		var at int64
		var data []byte
		if err := rows.Scan(&e.ID, &e.Type, &at, &e.Attempt, &e.Error, &data); err != nil {
			return err
		}
		e.Time, e.Data = jobstore.Between(time.UnixMicro(at)), jobstore.DecodeData(data)
		events = append(events, e)
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read timeline of job %s: %w", id, err)
	case len(events) == 0:
		return nil, jobstore.ErrNotFound
	}
	return jobstore.Timeline(events, func() (job.Job, error) { return l.Job(ctx, tenant, id) })
}
