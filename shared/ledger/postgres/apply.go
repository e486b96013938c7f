package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5"

	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/ledger/internal/fold"
)

// upsertJobs merges changes into the jobs by the rules of fold.Change, in any
// order of arrival. Enum values compare in the order of their declaration.
// Changes that say nothing new of a known job write nothing.
const upsertJobs = `
insert into pipeline_jobs as j (id, tenant_id, job_type, status, parameters, error_code, error_message,
    created_at, started_at, completed_at, attempts, trading_job_id, sweep_run_id, retry_of, announced_at)
select id::uuid, tenant_id, job_type, status::pipeline_job_status, parameters::jsonb, error_code, error_message,
    created_at, started_at, completed_at, attempts, trading_job_id, sweep_run_id, retry_of::uuid, announced_at
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::int[], $12::text[], $13::text[], $14::text[], $15::timestamptz[])
    as c (id, tenant_id, job_type, status, parameters, error_code, error_message,
    created_at, started_at, completed_at, attempts, trading_job_id, sweep_run_id, retry_of, announced_at)
on conflict (id) do update set
    status         = case when j.status < 'COMPLETED' then greatest(j.status, excluded.status) else j.status end,
    error_code     = case when j.status < 'COMPLETED' then excluded.error_code else j.error_code end,
    error_message  = case when j.status < 'COMPLETED' then excluded.error_message else j.error_message end,
    completed_at   = case when j.status < 'COMPLETED' then excluded.completed_at else j.completed_at end,
    started_at     = least(j.started_at, excluded.started_at),
    attempts       = greatest(j.attempts, excluded.attempts),
    trading_job_id = case when excluded.attempts >= j.attempts
                          then coalesce(excluded.trading_job_id, j.trading_job_id)
                          else coalesce(j.trading_job_id, excluded.trading_job_id) end,
    sweep_run_id   = coalesce(j.sweep_run_id, excluded.sweep_run_id),
    announced_at   = least(j.announced_at, excluded.announced_at)
where j.tenant_id = excluded.tenant_id
  and (excluded.status > 'QUEUED' or excluded.announced_at is not null)`

// insertLines adds the lines that are new. A line whose job belongs to another
// tenant is dropped: the upsert before has left that job alone. The job is looked
// up for each line (offset 0 keeps the planner from making a join of it): a plan
// made while the table was small would go on reading all of it.
const insertLines = `
insert into pipeline_job_events (id, job_id, tenant_id, type, time, attempt, error, data)
select l.id, l.job_id::uuid, l.tenant_id, l.type, l.time, l.attempt, l.error, l.data::json
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::int[], $7::text[], $8::text[])
    as l (id, job_id, tenant_id, type, time, attempt, error, data)
cross join lateral (
    select from pipeline_jobs j where j.id = l.job_id::uuid and j.tenant_id = l.tenant_id offset 0) known
on conflict (id) do nothing`

// Apply writes events down; see ledger.Ledger. It takes one round trip.
func (l *Ledger) Apply(ctx context.Context, events ...cloudevents.Event) error {
	changes, lines, err := fold.Events(events)
	if err != nil || len(lines) == 0 {
		return err
	}
	if err := l.ready(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	var b pgx.Batch
	b.Queue(enter, service.setting, service.value)
	if err := queue(&b, changes, lines); err != nil {
		return err
	}
	if err := l.pool.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("write %d events: %w", len(events), err)
	}
	return nil
}

// queue adds the two statements that write changes and lines.
func queue(b *pgx.Batch, changes []fold.Change, lines []fold.Line) error {
	var c columns
	for _, x := range changes {
		if err := c.add(x); err != nil {
			return err
		}
	}
	b.Queue(upsertJobs, c.id, c.tenant, c.jobType, c.status, c.parameters, c.errorCode, c.errorMessage,
		c.created, c.started, c.completed, c.attempts, c.tradingJob, c.sweepRun, c.retryOf, c.announced)
	queueLines(b, lines)
	return nil
}

func queueLines(b *pgx.Batch, lines []fold.Line) {
	n := len(lines)
	id, jobID, tenantID, typ := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	at, attempt, problem, data := make([]time.Time, n), make([]int32, n), make([]string, n), make([]string, n)
	for i, x := range lines {
		id[i], jobID[i], tenantID[i], typ[i] = x.ID, x.JobID, x.TenantID, x.Type
		at[i], attempt[i], problem[i], data[i] = x.Time, int32(x.Attempt), x.Error, x.Data
	}
	b.Queue(insertLines, id, jobID, tenantID, typ, at, attempt, problem, data)
}

// columns are changes turned sideways, as unnest wants them.
type columns struct {
	id, tenant, jobType, status, parameters                []string
	errorCode, errorMessage, tradingJob, sweepRun, retryOf []*string
	created                                                []time.Time
	started, completed, announced                          []*time.Time
	attempts                                               []int32
}

func (c *columns) add(x fold.Change) error {
	parameters, err := json.Marshal(x.Header.Parameters)
	if err != nil {
		return fmt.Errorf("encode parameters: %w", err)
	}
	var f ledger.Failure
	if x.Failure != nil {
		f = *x.Failure
	}
	c.id = append(c.id, x.Header.JobID)
	c.tenant = append(c.tenant, x.Header.TenantID)
	c.jobType = append(c.jobType, x.Header.JobType)
	c.status = append(c.status, string(x.Status))
	c.parameters = append(c.parameters, string(parameters))
	c.errorCode = append(c.errorCode, orNull(string(f.Code)))
	c.errorMessage = append(c.errorMessage, orNull(f.Message))
	c.created = append(c.created, x.Header.CreatedAt)
	c.started = append(c.started, x.StartedAt)
	c.completed = append(c.completed, x.CompletedAt)
	c.attempts = append(c.attempts, int32(x.Attempts))
	c.tradingJob = append(c.tradingJob, orNull(x.TradingJobID))
	c.sweepRun = append(c.sweepRun, orNull(x.SweepRunID))
	c.retryOf = append(c.retryOf, orNull(x.Header.RetryOf))
	c.announced = append(c.announced, x.AnnouncedAt)
	return nil
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
