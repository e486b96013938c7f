package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/internal/fold"
	"github.com/zixly/sweepline/shared/jobstore/internal/group"
)

// upsertJob merges one change into its job by the rules of fold.Change, in any
// order of arrival. Two-argument min is NULL where one side is, unlike
// PostgreSQL's least. A change that says nothing new of a known job writes
// nothing.
const upsertJob = `
insert into pipeline_jobs as j (id, tenant_id, job_type, status, parameters, created_at, started_at, attempts, trading_job_id, retry_of, group_id, labels, notify_url)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (id) do update set
    status         = case when j.status = 'QUEUED' then excluded.status else j.status end,
    started_at     = coalesce(min(j.started_at, excluded.started_at), j.started_at, excluded.started_at),
    attempts       = max(j.attempts, excluded.attempts),
    trading_job_id = case when excluded.attempts >= j.attempts
                          then coalesce(excluded.trading_job_id, j.trading_job_id)
                          else coalesce(j.trading_job_id, excluded.trading_job_id) end
where j.tenant_id = excluded.tenant_id and (
       j.status = 'QUEUED' and excluded.status <> 'QUEUED'
    or excluded.attempts > j.attempts
    or excluded.started_at < j.started_at or j.started_at is null and excluded.started_at is not null
    or excluded.trading_job_id <> j.trading_job_id and excluded.attempts >= j.attempts
    or j.trading_job_id is null and excluded.trading_job_id is not null)`

// endJob ends a job that has not ended.
const endJob = `
update pipeline_jobs set status = ?3, completed_at = ?4, error_code = ?5, error_message = ?6, result = ?7, metrics = ?8, sweep_run_id = ?9
where id = ?1 and tenant_id = ?2 and status in ('QUEUED', 'RUNNING')`

// insertLine adds a line that is new. One whose job belongs to another tenant
// is dropped: the upsert before has left that job alone.
const insertLine = `
insert into pipeline_job_events (id, job_id, tenant_id, type, time, attempt, error, data)
select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
where exists (select 1 from pipeline_jobs where id = ?2 and tenant_id = ?3)
on conflict (id) do nothing`

// settle forgets a pending job that has ended and of which somebody was told.
const settle = `
delete from pipeline_pending where job_id = ?1
  and exists (select 1 from pipeline_jobs where id = ?1 and status in ('COMPLETED', 'FAILED'))
  and exists (select 1 from pipeline_job_events where job_id = ?1 and type = '` + event.JobNotified + `')`

// statements are prepared once, on the one connection that writes.
type statements struct {
	tenantOf, upsertJob, addPending, endJob, dropCollection, dropRows, insertLine, settle *sql.Stmt
	insertRow                                                                             *sql.Stmt
}

func (s *statements) all() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&s.tenantOf:       "select tenant_id from pipeline_jobs where id = ?",
		&s.upsertJob:      upsertJob,
		&s.addPending:     "insert into pipeline_pending (job_id) values (?) on conflict do nothing",
		&s.endJob:         endJob,
		&s.dropCollection: "delete from pipeline_collections where job_id = ?",
		&s.dropRows:       "delete from trading_sweep_results where job_id = ?",
		&s.insertLine:     insertLine,
		&s.settle:         settle,
		&s.insertRow:      insertRow,
	}
}

func prepareAll(ctx context.Context, db *sql.DB) (s statements, err error) {
	for into, text := range s.all() {
		if *into, err = db.PrepareContext(ctx, text); err != nil {
			return s, fmt.Errorf("prepare statement: %w", err)
		}
	}
	return s, nil
}

func (s *statements) close() error {
	var errs []error
	for st := range s.all() {
		if *st != nil {
			errs = append(errs, (*st).Close())
		}
	}
	return errors.Join(errs...)
}

// Apply stores events; see jobstore.Store. It costs one fsync, however many
// events there are.
func (l *Store) Apply(ctx context.Context, events ...cloudevents.Event) []jobstore.Applied {
	return group.Each(ctx, &l.applies, events, func(err error) jobstore.Applied { return jobstore.Applied{Err: err} })
}

func (l *Store) apply(ctx context.Context, events []cloudevents.Event) ([]jobstore.Applied, error) {
	return fold.Apply(ctx, events, func(ctx context.Context, b fold.Batch) (w fold.Written, err error) {
		err = l.inTx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
			w, err = l.put(ctx, tx, b)
			return err
		})
		return w, err
	}), nil
}

func (l *Store) put(ctx context.Context, tx *sql.Tx, b fold.Batch) (fold.Written, error) {
	w := fold.Written{Ended: map[string]fold.Stored{}, Foreign: map[string]bool{}}
	for _, c := range b.Changes {
		foreign, err := l.putChange(ctx, tx, c)
		if err != nil {
			return w, fmt.Errorf("write job %s: %w", c.Header.JobID, err)
		}
		if foreign {
			w.Foreign[fold.Key(c.Header.JobID, c.Header.TenantID)] = true
		}
	}
	settled := b.AllNotified()
	first := map[string]bool{}
	for _, e := range b.Ends {
		ended, err := l.putEnd(ctx, tx, e)
		if err != nil {
			return w, fmt.Errorf("end job %s: %w", e.Header.JobID, err)
		}
		if first[fold.Key(e.Header.JobID, e.Header.TenantID)] = ended; ended {
			settled = append(settled, e.Header.JobID)
		}
	}
	for _, x := range b.Lines {
		if err := l.putLine(ctx, tx, x); err != nil {
			return w, err
		}
	}
	for _, id := range settled {
		if _, err := tx.StmtContext(ctx, l.stmts.settle).ExecContext(ctx, id); err != nil {
			return w, fmt.Errorf("settle job %s: %w", id, err)
		}
	}
	for _, e := range b.Ends {
		j, err := scanJob(tx.QueryRowContext(ctx, "select "+jobColumns+" from pipeline_jobs where id = ? and tenant_id = ?", e.Header.JobID, e.Header.TenantID))
		switch {
		case errors.Is(err, sql.ErrNoRows): // another tenant's
		case err != nil:
			return w, err
		default:
			key := fold.Key(e.Header.JobID, e.Header.TenantID)
			w.Ended[key] = fold.Stored{Job: j, First: first[key]}
		}
	}
	return w, nil
}

// putChange creates or changes a job, unless it is another tenant's.
func (l *Store) putChange(ctx context.Context, tx *sql.Tx, c fold.Change) (foreign bool, err error) {
	h := c.Header
	var owner string
	err = tx.StmtContext(ctx, l.stmts.tenantOf).QueryRowContext(ctx, h.JobID).Scan(&owner)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if _, err := tx.StmtContext(ctx, l.stmts.addPending).ExecContext(ctx, h.JobID); err != nil {
			return false, err
		}
	case err != nil:
		return false, err
	case owner != h.TenantID:
		return true, nil
	}
	parameters, err := json.Marshal(h.Parameters)
	if err != nil {
		return false, fmt.Errorf("encode parameters: %w", err)
	}
	labels := ""
	if len(h.Labels) > 0 {
		labels = jobstore.Labels(h.Labels)
	}
	_, err = tx.StmtContext(ctx, l.stmts.upsertJob).ExecContext(ctx, h.JobID, h.TenantID, h.JobType, string(c.Status), string(parameters),
		h.CreatedAt.UnixMicro(), micros(c.StartedAt), c.Attempts, orNull(c.TradingJobID), orNull(h.RetryOf), orNull(h.GroupID), orNull(labels), orNull(h.NotifyURL))
	return false, err
}

// putEnd ends a job and announces it, unless it has ended.
func (l *Store) putEnd(ctx context.Context, tx *sql.Tx, e fold.Ending) (first bool, err error) {
	var best, metrics any
	if e.Status == job.Completed {
		b, err := json.Marshal(e.Best)
		if err != nil {
			return false, fmt.Errorf("encode best rows: %w", err)
		}
		m, err := json.Marshal(e.Metrics)
		if err != nil {
			return false, fmt.Errorf("encode metrics: %w", err)
		}
		best, metrics = string(b), string(m)
	}
	done, err := tx.StmtContext(ctx, l.stmts.endJob).ExecContext(ctx, e.Header.JobID, e.Header.TenantID, string(e.Status), e.CompletedAt.UnixMicro(),
		orNull(string(e.Failure.Code)), orNull(e.Failure.Message), best, metrics, orNull(e.SweepRunID))
	if err != nil {
		return false, err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	if _, err := tx.StmtContext(ctx, l.stmts.dropCollection).ExecContext(ctx, e.Header.JobID); err != nil {
		return false, err
	}
	line := fold.Line{ID: e.Header.JobID + "/job", JobID: e.Header.JobID, TenantID: e.Header.TenantID, Type: event.JobCompleted, Time: e.At.Time, Error: e.Failure.Message}
	if e.Status == job.Failed {
		line.Type = event.JobFailed
		// A failed job has no rows, though a part of them may have been stored.
		if _, err := tx.StmtContext(ctx, l.stmts.dropRows).ExecContext(ctx, e.Header.JobID); err != nil {
			return false, err
		}
	}
	return true, l.putLine(ctx, tx, line)
}

func (l *Store) putLine(ctx context.Context, tx *sql.Tx, x fold.Line) error {
	_, err := tx.StmtContext(ctx, l.stmts.insertLine).ExecContext(ctx, x.ID, x.JobID, x.TenantID, x.Type, x.Time.UnixMicro(), x.Attempt, x.Error, orNull(x.Data))
	if err != nil {
		return fmt.Errorf("write event %s: %w", x.ID, err)
	}
	return nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func micros(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UnixMicro()
}
