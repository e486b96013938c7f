-- The tables of PostgreSQL's job store in SQLite's words. Times are microseconds
-- since 1970 in UTC; figures are rounded to six decimals before they come here.

-- +goose Up
create table pipeline_jobs (
    id             text not null primary key,
    tenant_id      text not null,
    job_type       text not null,
    status         text not null check (status in ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED')),
    parameters     text not null,
    result         text,
    metrics        text,
    error_code     text,
    error_message  text,
    created_at     integer not null,
    started_at     integer,
    completed_at   integer,
    attempts       integer not null default 0,
    trading_job_id text,
    sweep_run_id   text,
    retry_of       text,
    announced_at   integer,
    ticker         text not null generated always as (upper(parameters ->> 'ticker')) stored,
    -- what the text filter looks through
    search         text not null generated always as (lower(
        id || ' ' || (parameters ->> 'ticker') || ' ' || (parameters ->> 'strategy_type') || ' ' || coalesce(error_code, '') || ' ' ||
        coalesce(error_message, '') || ' ' || coalesce(trading_job_id, '') || ' ' || coalesce(sweep_run_id, ''))) stored
) strict, without rowid;

create index pipeline_jobs_tenant_status on pipeline_jobs (tenant_id, status, created_at desc, id desc);
create index pipeline_jobs_tenant_created on pipeline_jobs (tenant_id, created_at desc, id desc);
create index pipeline_jobs_tenant_ticker on pipeline_jobs (tenant_id, ticker, created_at desc, id desc);
create index pipeline_jobs_unfinished on pipeline_jobs (created_at, id) where status in ('QUEUED', 'RUNNING');
create index pipeline_jobs_unannounced on pipeline_jobs (created_at, id) where announced_at is null and status in ('COMPLETED', 'FAILED');

create table trading_sweep_results (
    id                   integer primary key,
    job_id               text not null references pipeline_jobs (id) on delete cascade,
    tenant_id            text not null,
    sweep_run_id         text not null,
    result_id            text,
    ticker               text not null,
    strategy_type        text not null,
    fast_period          integer not null,
    slow_period          integer not null,
    signal_period        integer,
    score                real not null,
    sharpe_ratio         real not null,
    sortino_ratio        real not null,
    total_return_pct     real not null,
    annualized_return    real,
    max_drawdown_pct     real not null,
    win_rate_pct         real not null,
    profit_factor        real not null,
    total_trades         integer not null,
    trades_per_month     real,
    avg_trade_duration   real,
    expectancy_per_trade real,
    calmar_ratio         real
) strict;
-- A signal period that is not there equals another that is not there. The
-- index also serves the look-up by job.
create unique index trading_sweep_results_parameters on trading_sweep_results
    (job_id, strategy_type, fast_period, slow_period, coalesce(signal_period, -2147483649));

create table pipeline_job_events (
    seq       integer primary key,
    id        text not null unique,
    job_id    text not null references pipeline_jobs (id) on delete cascade,
    tenant_id text not null,
    type      text not null,
    time      integer not null,
    attempt   integer not null,
    error     text not null,
    data      text
) strict;
create index pipeline_job_events_job on pipeline_job_events (job_id, time, seq);

-- +goose Down
drop table pipeline_job_events;
drop table trading_sweep_results;
drop table pipeline_jobs;
