-- Jobs, the rows of their sweeps, and their timelines. Every table is guarded
-- by row-level security: a transaction sees the tenant that it has named in
-- sweepline.tenant, or all of them once it has set sweepline.scope to service,
-- and nothing at all if it has set neither. FORCE puts the owner under it too.

-- +goose Up
create type pipeline_job_status as enum ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED');

create table pipeline_jobs (
    id             uuid primary key,
    tenant_id      text not null,
    job_type       text not null,
    status         pipeline_job_status not null default 'QUEUED',
    parameters     jsonb not null,
    result         jsonb,
    metrics        jsonb,
    error_code     text,
    error_message  text,
    created_at     timestamptz not null default now(),
    started_at     timestamptz,
    completed_at   timestamptz,
    attempts       integer not null default 0,
    trading_job_id text,
    sweep_run_id   text,
    retry_of       uuid,
    announced_at   timestamptz,
    ticker         text not null generated always as (upper(parameters ->> 'ticker')) stored,
    search         text not null generated always as (lower(
        id::text || ' ' || (parameters ->> 'ticker') || ' ' || (parameters ->> 'strategy_type') || ' ' || coalesce(error_code, '') || ' ' ||
        coalesce(error_message, '') || ' ' || coalesce(trading_job_id, '') || ' ' || coalesce(sweep_run_id, ''))) stored
);
comment on column pipeline_jobs.result is 'the best rows, at most ten';
comment on column pipeline_jobs.search is 'what the text filter looks through';
comment on column pipeline_jobs.announced_at is 'when the first notification of the end went out';

create index pipeline_jobs_tenant_status on pipeline_jobs (tenant_id, status, created_at desc, id desc);
create index pipeline_jobs_tenant_created on pipeline_jobs (tenant_id, created_at desc, id desc);
create index pipeline_jobs_tenant_ticker on pipeline_jobs (tenant_id, ticker, created_at desc, id desc);
create index pipeline_jobs_created on pipeline_jobs (created_at);
create index pipeline_jobs_unfinished on pipeline_jobs (created_at) where status in ('QUEUED', 'RUNNING');
create index pipeline_jobs_unannounced on pipeline_jobs (created_at) where announced_at is null and status in ('COMPLETED', 'FAILED');

create table trading_sweep_results (
    id                   bigint generated always as identity primary key,
    job_id               uuid not null references pipeline_jobs (id) on delete cascade,
    tenant_id            text not null,
    sweep_run_id         text not null,
    result_id            text,
    ticker               text not null,
    strategy_type        text not null,
    fast_period          integer not null,
    slow_period          integer not null,
    signal_period        integer,
    score                numeric(20,6) not null,
    sharpe_ratio         numeric(20,6) not null,
    sortino_ratio        numeric(20,6) not null,
    total_return_pct     numeric(20,6) not null,
    annualized_return    numeric(20,6),
    max_drawdown_pct     numeric(20,6) not null,
    win_rate_pct         numeric(20,6) not null,
    profit_factor        numeric(20,6) not null,
    total_trades         integer not null,
    trades_per_month     numeric(20,6),
    avg_trade_duration   numeric(20,6),
    expectancy_per_trade numeric(20,6),
    calmar_ratio         numeric(20,6),
    constraint trading_sweep_results_parameters
        unique nulls not distinct (job_id, strategy_type, fast_period, slow_period, signal_period)
);
create index trading_sweep_results_job on trading_sweep_results (job_id);
create index trading_sweep_results_run on trading_sweep_results (sweep_run_id);
create index trading_sweep_results_ticker_score on trading_sweep_results (ticker, score);

create table pipeline_job_events (
    seq         bigint generated always as identity primary key,
    id          text not null unique,
    job_id      uuid not null references pipeline_jobs (id) on delete cascade,
    tenant_id   text not null,
    type        text not null,
    time        timestamptz not null,
    attempt     integer not null default 0,
    error       text not null default '',
    -- json, not jsonb: kept as it was sent, with escapes that jsonb refuses.
    data        json,
    recorded_at timestamptz not null default now()
);
create index pipeline_job_events_job on pipeline_job_events (job_id, time, seq);

-- +goose StatementBegin
create function pipeline_visible(tenant text) returns boolean
    language sql stable parallel safe
    return coalesce(current_setting('sweepline.scope', true) = 'service'
                 or current_setting('sweepline.tenant', true) = tenant, false);
-- +goose StatementEnd

alter table pipeline_jobs enable row level security;
alter table pipeline_jobs force row level security;
create policy tenant on pipeline_jobs using (pipeline_visible(tenant_id));

alter table trading_sweep_results enable row level security;
alter table trading_sweep_results force row level security;
create policy tenant on trading_sweep_results using (pipeline_visible(tenant_id));

alter table pipeline_job_events enable row level security;
alter table pipeline_job_events force row level security;
create policy tenant on pipeline_job_events using (pipeline_visible(tenant_id));

-- +goose Down
drop table pipeline_job_events;
drop table trading_sweep_results;
drop table pipeline_jobs;
drop function pipeline_visible;
drop type pipeline_job_status;
