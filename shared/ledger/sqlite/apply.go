package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/ledger/internal/fold"
)

// upsertJob merges one change into its job by the rules of fold.Change, in any
// order of arrival. Two-argument min is NULL where one side is, unlike
// PostgreSQL's least. A change that says nothing new of a known job writes
// nothing.
const upsertJob = `
insert into pipeline_jobs as j (id, tenant_id, job_type, status, parameters, error_code, error_message,
    created_at, started_at, completed_at, attempts, trading_job_id, sweep_run_id, retry_of, announced_at)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (id) do update set
    status         = case when j.status = 'QUEUED' or j.status = 'RUNNING' and excluded.status <> 'QUEUED' then excluded.status else j.status end,
    error_code     = case when j.status in ('QUEUED', 'RUNNING') then excluded.error_code else j.error_code end,
    error_message  = case when j.status in ('QUEUED', 'RUNNING') then excluded.error_message else j.error_message end,
    completed_at   = case when j.status in ('QUEUED', 'RUNNING') then excluded.completed_at else j.completed_at end,
    started_at     = coalesce(min(j.started_at, excluded.started_at), j.started_at, excluded.started_at),
    attempts       = max(j.attempts, excluded.attempts),
    trading_job_id = case when excluded.attempts >= j.attempts
                          then coalesce(excluded.trading_job_id, j.trading_job_id)
                          else coalesce(j.trading_job_id, excluded.trading_job_id) end,
    sweep_run_id   = coalesce(j.sweep_run_id, excluded.sweep_run_id),
    announced_at   = coalesce(min(j.announced_at, excluded.announced_at), j.announced_at, excluded.announced_at)
where j.tenant_id = excluded.tenant_id
  and (excluded.status <> 'QUEUED' or excluded.announced_at is not null)`

// insertLine adds a line that is new. One whose job belongs to another tenant
// is dropped: the upsert before has left that job alone.
const insertLine = `
insert into pipeline_job_events (id, job_id, tenant_id, type, time, attempt, error, data)
select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
where exists (select 1 from pipeline_jobs where id = ?2 and tenant_id = ?3)
on conflict (id) do nothing`

// statements are prepared once, on the one connection that writes.
type statements struct{ upsertJob, insertLine, endJob, insertRow *sql.Stmt }

func prepareAll(ctx context.Context, db *sql.DB) (statements, error) {
	var s statements
	for _, p := range []struct {
		into **sql.Stmt
		sql  string
	}{{&s.upsertJob, upsertJob}, {&s.insertLine, insertLine}, {&s.endJob, endJob}, {&s.insertRow, insertRow}} {
		var err error
		if *p.into, err = db.PrepareContext(ctx, p.sql); err != nil {
			return s, fmt.Errorf("prepare statement: %w", err)
		}
	}
	return s, nil
}

func (s statements) close() error {
	var errs []error
	for _, st := range []*sql.Stmt{s.upsertJob, s.insertLine, s.endJob, s.insertRow} {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	return errors.Join(errs...)
}

// Apply writes events down; see ledger.Ledger. It costs one fsync, however many
// events there are.
func (l *Ledger) Apply(ctx context.Context, events ...cloudevents.Event) error {
	changes, lines, err := fold.Events(events)
	if err != nil || len(lines) == 0 {
		return err
	}
	err = l.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return l.put(ctx, tx, changes, lines)
	})
	if err != nil {
		return fmt.Errorf("write %d events: %w", len(events), err)
	}
	return nil
}

func (l *Ledger) put(ctx context.Context, tx *sql.Tx, changes []fold.Change, lines []fold.Line) error {
	upsert, insert := tx.StmtContext(ctx, l.write.upsertJob), tx.StmtContext(ctx, l.write.insertLine)
	for _, c := range changes {
		parameters, err := json.Marshal(c.Header.Parameters)
		if err != nil {
			return fmt.Errorf("encode parameters: %w", err)
		}
		var f ledger.Failure
		if c.Failure != nil {
			f = *c.Failure
		}
		h := c.Header
		_, err = upsert.ExecContext(ctx, h.JobID, h.TenantID, h.JobType, string(c.Status), string(parameters), orNull(string(f.Code)), orNull(f.Message),
			h.CreatedAt.UnixMicro(), micros(c.StartedAt), micros(c.CompletedAt), c.Attempts, orNull(c.TradingJobID), orNull(c.SweepRunID), orNull(h.RetryOf), micros(c.AnnouncedAt))
		if err != nil {
			return fmt.Errorf("write job %s: %w", h.JobID, err)
		}
	}
	for _, x := range lines {
		if _, err := insert.ExecContext(ctx, x.ID, x.JobID, x.TenantID, x.Type, x.Time.UnixMicro(), x.Attempt, x.Error, x.Data); err != nil {
			return fmt.Errorf("write event %s: %w", x.ID, err)
		}
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
