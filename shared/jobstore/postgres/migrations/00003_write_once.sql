-- A batch of events is one call of pipeline_apply, and pages of result rows are
-- one call of pipeline_collect. Both are functions so that their plans are made
-- once a session and outlive the client behind a pooler, and so that the scope
-- that sees all tenants is open inside them only. Their names carry a version:
-- a later schema adds new ones beside them.

-- +goose Up
select set_config('sweepline.scope', 'service', true);

-- The timeline. One index serves uniqueness and look-up: an event's id begins
-- with its job's. The foreign key cost a query for each line; pipeline_apply
-- checks the job of each line, and a trigger takes the lines of a deleted job.
alter table pipeline_job_events drop constraint pipeline_job_events_job_id_fkey;
alter table pipeline_job_events drop constraint pipeline_job_events_pkey;
alter table pipeline_job_events drop constraint pipeline_job_events_id_key;
drop index pipeline_job_events_job;
alter table pipeline_job_events drop column seq;
alter table pipeline_job_events alter column id type text collate "C";
alter table pipeline_job_events add primary key (job_id, id);
comment on column pipeline_job_events.data is 'null for the announcement of an end, which follows from the job';

-- Jobs that have not ended, or of whose end nobody was told. They used to be
-- found by partial indexes on status and announced_at, at the price of one more
-- write of the whole job.
create table pipeline_pending (
    job_id    uuid primary key,
    tenant_id text not null
);
insert into pipeline_pending select id, tenant_id from pipeline_jobs
    where status in ('QUEUED', 'RUNNING') or announced_at is null;

drop index pipeline_jobs_tenant_status;
drop index pipeline_jobs_created;
drop index pipeline_jobs_unfinished;
drop index pipeline_jobs_unannounced;
alter table pipeline_jobs drop column announced_at;
-- Counts by state read the first. Lists of open or failed jobs take the second:
-- comparing enums is not leakproof, so that under row-level security a state can
-- be no condition of an index, but only of which rows are in it. A list of
-- completed jobs, which most are, takes pipeline_jobs_tenant_created.
create index pipeline_jobs_tenant_status on pipeline_jobs (tenant_id, status);
create index pipeline_jobs_tenant_open on pipeline_jobs (tenant_id, created_at desc, id desc) where status <> 'COMPLETED';
create index pipeline_jobs_created on pipeline_jobs using brin (created_at);

-- Rows are identified by their job and parameters; pages arrive in any order of
-- score.
drop index trading_sweep_results_job;
alter table trading_sweep_results drop column id;

-- How far the rows of a sweep of more than one page are stored.
create table pipeline_collections (
    job_id       uuid primary key,
    tenant_id    text not null,
    sweep_run_id text not null,
    next_offset  integer not null default 0,
    total        integer not null default 0,
    failures     integer not null default 0,
    updated_at   timestamptz not null default now()
);
comment on column pipeline_collections.total is '0 while it is not known';
comment on column pipeline_collections.failures is 'failed attempts at the page that begins at next_offset';

alter table pipeline_pending enable row level security;
alter table pipeline_pending force row level security;
create policy tenant on pipeline_pending using (
    tenant_id = (select current_setting('sweepline.tenant', true))
    or (select coalesce(current_setting('sweepline.scope', true) = 'service', false)));
alter table pipeline_collections enable row level security;
alter table pipeline_collections force row level security;
create policy tenant on pipeline_collections using (
    tenant_id = (select current_setting('sweepline.tenant', true))
    or (select coalesce(current_setting('sweepline.scope', true) = 'service', false)));

-- +goose StatementBegin
create function pipeline_forget() returns trigger language plpgsql as $$
begin
    delete from pipeline_job_events e using gone where e.job_id = gone.id;
    delete from pipeline_pending p using gone where p.job_id = gone.id;
    delete from pipeline_collections c using gone where c.job_id = gone.id;
    return null;
end $$;
-- +goose StatementEnd
create trigger pipeline_forget after delete on pipeline_jobs
    referencing old table as gone for each statement execute function pipeline_forget();

-- pipeline_apply_v1 stores a batch of events.
--
--   jobs    arrays of one length, one entry a job and tenant, sorted by id:
--           what the events say about it short of its end
--   ends    one entry for each job that ends, sorted by id
--   events  one entry for each line of the timeline
--   told    the jobs of whose end some event says that somebody was told
--
-- It returns a row for each end, with the job as it ended, now (state 'first')
-- or before ('again'); and for each entry of jobs that names another tenant's
-- job a row 'foreign' without the rest.
--
-- Plans are made while the tables are empty and must be right when they are
-- large. Hence the settings; every table is looked up by its primary key for each
-- entry, never the other way around, which "on conflict", "any (array)" and
-- subqueries with "offset 0" leave no choice about; and tenants are compared by
-- "is not distinct from", which no index serves: to a small table an index that
-- begins with the tenant looks as good as the primary key.
-- +goose StatementBegin
create function pipeline_apply_v1(
    job_ids uuid[], job_tenants text[], job_types text[], job_states text[], job_parameters text[], job_created timestamptz[],
    job_started timestamptz[], job_attempts integer[], job_sweeps text[], job_retries uuid[],
    end_ids uuid[], end_tenants text[], end_types text[], end_parameters text[], end_created timestamptz[], end_retries uuid[],
    end_states text[], end_runs text[], end_completed timestamptz[], end_codes text[], end_messages text[],
    end_results text[], end_metrics text[], end_told timestamptz[],
    event_ids text[], event_jobs uuid[], event_tenants text[], event_types text[], event_times timestamptz[],
    event_attempts integer[], event_errors text[], event_data text[],
    told uuid[])
returns table (
    state text, job_id uuid, job_tenant text, job_type text, status text, parameters jsonb, result jsonb, metrics jsonb,
    error_code text, error_message text, created_at timestamptz, started_at timestamptz, completed_at timestamptz,
    attempts integer, trading_job_id text, sweep_run_id text, retry_of uuid)
language plpgsql
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    scope   text := coalesce(current_setting('sweepline.scope', true), '');
    strange integer[];
    news    integer[];
    ended   uuid[];
    settled uuid[];
begin
    perform set_config('sweepline.scope', 'service', true);

    -- A job that the batch says nothing new of is not touched. Enum values
    -- compare in the order of their declaration.
    select array_agg(n) filter (where j.tenant_id <> c.tenant_id),
        array_agg(n) filter (where j.id is null or j.tenant_id = c.tenant_id and (
            j.status = 'QUEUED' and c.state <> 'QUEUED'
            or c.attempts > j.attempts
            or c.started_at < j.started_at or j.started_at is null and c.started_at is not null
            or c.trading_job_id <> j.trading_job_id and c.attempts >= j.attempts
            or j.trading_job_id is null and c.trading_job_id is not null))
    into strange, news
    from unnest(job_ids, job_tenants, job_states, job_started, job_attempts, job_sweeps)
        with ordinality as c (id, tenant_id, state, started_at, attempts, trading_job_id, n)
    left join lateral (select * from pipeline_jobs j where j.id = c.id offset 0) j on true;

    if news is not null then
        with put as (
            insert into pipeline_jobs as j (id, tenant_id, job_type, status, parameters, created_at, started_at, attempts, trading_job_id, retry_of)
            select job_ids[n], job_tenants[n], job_types[n], job_states[n]::pipeline_job_status, job_parameters[n]::jsonb, job_created[n],
                job_started[n], job_attempts[n], job_sweeps[n], job_retries[n]
            from unnest(news) n order by n
            on conflict (id) do update set
                status         = greatest(j.status, excluded.status),
                started_at     = least(j.started_at, excluded.started_at),
                attempts       = greatest(j.attempts, excluded.attempts),
                trading_job_id = case when excluded.attempts >= j.attempts
                                      then coalesce(excluded.trading_job_id, j.trading_job_id)
                                      else coalesce(j.trading_job_id, excluded.trading_job_id) end
            -- Again, for what another has written meanwhile.
            where j.tenant_id = excluded.tenant_id and (
                j.status = 'QUEUED' and excluded.status > 'QUEUED'
                or excluded.attempts > j.attempts
                or excluded.started_at < j.started_at or j.started_at is null and excluded.started_at is not null
                or excluded.trading_job_id <> j.trading_job_id and excluded.attempts >= j.attempts
                or j.trading_job_id is null and excluded.trading_job_id is not null)
            returning j.id, j.tenant_id, j.xmax = 0 as added
        )
        insert into pipeline_pending (job_id, tenant_id) select id, tenant_id from put where added
        on conflict do nothing;
    end if;

    -- The first end wins: of two at once the second waits here and finds it.
    -- Each end is announced by a line of its own.
    if cardinality(end_ids) > 0 then
        with done as (
            insert into pipeline_jobs as j (id, tenant_id, job_type, parameters, created_at, retry_of,
                status, sweep_run_id, completed_at, error_code, error_message, result, metrics)
            select id, tenant_id, type, parameters::jsonb, created_at, retry_of,
                state::pipeline_job_status, run, completed_at, code, message, result::jsonb, metrics::jsonb
            from unnest(end_ids, end_tenants, end_types, end_parameters, end_created, end_retries, end_states, end_runs, end_completed,
                end_codes, end_messages, end_results, end_metrics) with ordinality
                as e (id, tenant_id, type, parameters, created_at, retry_of, state, run, completed_at, code, message, result, metrics, n)
            order by n
            on conflict (id) do update set
                status = excluded.status, sweep_run_id = excluded.sweep_run_id, completed_at = excluded.completed_at,
                error_code = excluded.error_code, error_message = excluded.error_message, result = excluded.result, metrics = excluded.metrics
            where j.tenant_id = excluded.tenant_id and j.status < 'COMPLETED'
            returning j.id, j.tenant_id, j.status, j.error_message, end_told[array_position(end_ids, j.id)] as told_at
        ), announced as (
            insert into pipeline_job_events (id, job_id, tenant_id, type, time, error)
            select id || '/job', id, tenant_id, case status when 'FAILED' then 'com.zixly.job.failed.v1' else 'com.zixly.job.completed.v1' end,
                told_at, coalesce(error_message, '')
            from done
            on conflict do nothing
        )
        select array_agg(id), array_agg(id) filter (where status = 'FAILED') into ended, settled from done;
        delete from pipeline_collections where job_id = any(ended);
        -- A failed job has no rows, though a part of them may have been stored.
        if settled is not null then
            delete from trading_sweep_results where job_id = any(settled);
        end if;
    end if;

    insert into pipeline_job_events (id, job_id, tenant_id, type, time, attempt, error, data)
    select l.id, l.job_id, l.tenant_id, l.type, l.time, l.attempt, l.error, l.data::json
    from unnest(event_ids, event_jobs, event_tenants, event_types, event_times, event_attempts, event_errors, event_data)
        as l (id, job_id, tenant_id, type, time, attempt, error, data)
    where exists (select from pipeline_jobs j where j.id = l.job_id and j.tenant_id is not distinct from l.tenant_id offset 0)
    on conflict do nothing;

    -- Settled are the jobs that have ended and of which somebody was told, in
    -- whatever order that came.
    settled := ended || told;
    if cardinality(settled) > 0 then
        delete from pipeline_pending where job_id = any(array(
            select s.id from unnest(settled) s (id)
            where exists (select from pipeline_jobs j where j.id = s.id and j.status >= 'COMPLETED' offset 0)
              and exists (select from pipeline_job_events t where t.job_id = s.id and t.id >= s.id || '/notified/' and t.id < s.id || '/notified0' offset 0)));
    end if;

    if cardinality(end_ids) > 0 then
        return query
        select case when j.id = any(ended) then 'first' else 'again' end, j.id, j.tenant_id, j.job_type, j.status::text, j.parameters, j.result, j.metrics,
            j.error_code, j.error_message, j.created_at, j.started_at, j.completed_at, j.attempts, j.trading_job_id, j.sweep_run_id, j.retry_of
        from unnest(end_ids, end_tenants) as e (id, tenant_id)
        cross join lateral (select * from pipeline_jobs j where j.id = e.id and j.tenant_id is not distinct from e.tenant_id offset 0) j;
    end if;
    if strange is not null then
        return query
        select 'foreign', job_ids[n], job_tenants[n], null::text, null::text, null::jsonb, null::jsonb, null::jsonb, null::text, null::text,
            null::timestamptz, null::timestamptz, null::timestamptz, null::integer, null::text, null::text, null::uuid
        from unnest(strange) n;
    end if;
    perform set_config('sweepline.scope', scope, true);
end $$;
-- +goose StatementEnd

-- pipeline_collect_v1 stores pages of result rows, one page a job.
--
--   pages  arrays of one length, sorted by job id
--   rows   one entry a row; row_pages says to which page it belongs, from 1
--
-- It returns, in the order of the pages, how far each collection is. A page is
-- stored if its job runs and its collection stands where the page begins; one
-- that is the whole sweep leaves no collection.
-- +goose StatementBegin
create function pipeline_collect_v1(
    page_jobs uuid[], page_tenants text[], page_runs text[], page_from integer[], page_next integer[], page_total integer[], page_last boolean[],
    row_pages integer[], row_results text[], row_tickers text[], row_strategies text[], row_fast integer[], row_slow integer[], row_signal integer[],
    row_trades integer[], row_score float8[], row_sharpe float8[], row_sortino float8[], row_return float8[], row_drawdown float8[], row_wins float8[],
    row_profit float8[], row_annual float8[], row_monthly float8[], row_duration float8[], row_expectancy float8[], row_calmar float8[])
returns table (status text, sweep_run_id text, next_offset integer, total integer, failures integer)
language plpgsql
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    scope    text := coalesce(current_setting('sweepline.scope', true), '');
    running  integer[];
    whole    integer[];
    begun    integer[];
    advanced integer[];
begin
    perform set_config('sweepline.scope', 'service', true);

    -- An end waits for the pages under way and then finds all their rows.
    select array_agg(held.n), array_agg(held.n) filter (where page_from[held.n] = 0 and page_last[held.n]) into running, whole from (
        select array_position(page_jobs, j.id) as n from pipeline_jobs j
        where j.id = any(page_jobs) and j.status < 'COMPLETED'
          and j.tenant_id is not distinct from page_tenants[array_position(page_jobs, j.id)]
        order by j.id for share of j) held;

    if cardinality(running) > coalesce(cardinality(whole), 0) then
        with b as (
            insert into pipeline_collections as k (job_id, tenant_id, sweep_run_id, next_offset, total)
            select page_jobs[n], page_tenants[n], page_runs[n], page_next[n], page_total[n]
            from unnest(running) n where page_from[n] = 0 and n <> all(coalesce(whole, '{}'))
            on conflict (job_id) do update set
                sweep_run_id = excluded.sweep_run_id, next_offset = excluded.next_offset, total = excluded.total, failures = 0, updated_at = now()
            where k.sweep_run_id <> excluded.sweep_run_id or k.next_offset = 0
            returning array_position(page_jobs, k.job_id) as n)
        select array_agg(n) into begun from b;
        with a as (
            update pipeline_collections k set
                next_offset = page_next[array_position(page_jobs, k.job_id)], total = page_total[array_position(page_jobs, k.job_id)],
                failures = 0, updated_at = now()
            where k.job_id = any(page_jobs) and array_position(page_jobs, k.job_id) = any(running)
              and page_from[array_position(page_jobs, k.job_id)] > 0 and k.next_offset = page_from[array_position(page_jobs, k.job_id)]
              and k.sweep_run_id = page_runs[array_position(page_jobs, k.job_id)]
            returning array_position(page_jobs, k.job_id) as n)
        select array_agg(n) into advanced from a;
    end if;
    -- Another run's rows are no part of this one.
    if whole is not null or begun is not null then
        delete from trading_sweep_results r
        where r.job_id = any(array(select page_jobs[n] from unnest(whole || begun) n))
          and r.sweep_run_id <> page_runs[array_position(page_jobs, r.job_id)];
    end if;

    insert into trading_sweep_results (job_id, tenant_id, sweep_run_id, result_id, ticker, strategy_type,
        fast_period, slow_period, signal_period, total_trades,
        score, sharpe_ratio, sortino_ratio, total_return_pct, max_drawdown_pct, win_rate_pct, profit_factor,
        annualized_return, trades_per_month, avg_trade_duration, expectancy_per_trade, calmar_ratio)
    select page_jobs[page], page_tenants[page], page_runs[page], result_id, ticker, strategy_type,
        fast_period, slow_period, signal_period, total_trades,
        score, sharpe, sortino, return, drawdown, wins, profit, annual, monthly, duration, expectancy, calmar
    from unnest(row_pages, row_results, row_tickers, row_strategies, row_fast, row_slow, row_signal, row_trades, row_score, row_sharpe,
        row_sortino, row_return, row_drawdown, row_wins, row_profit, row_annual, row_monthly, row_duration, row_expectancy, row_calmar)
        as r (page, result_id, ticker, strategy_type, fast_period, slow_period, signal_period, total_trades, score, sharpe,
        sortino, return, drawdown, wins, profit, annual, monthly, duration, expectancy, calmar)
    where page = any(whole || begun || advanced)
    on conflict on constraint trading_sweep_results_parameters do nothing;

    return query
    select j.status::text, case when p.n = any(whole) then p.run else k.sweep_run_id end,
        case when p.n = any(whole) then page_next[p.n] else k.next_offset end,
        case when p.n = any(whole) then page_total[p.n] else k.total end, k.failures
    from unnest(page_jobs, page_tenants, page_runs) with ordinality as p (job_id, tenant_id, run, n)
    left join lateral (select j.id, j.status from pipeline_jobs j where j.id = p.job_id and j.tenant_id is not distinct from p.tenant_id offset 0) j on true
    left join lateral (select * from pipeline_collections k where k.job_id = j.id offset 0) k on true
    order by p.n;
    perform set_config('sweepline.scope', scope, true);
end $$;
-- +goose StatementEnd

-- pipeline_collections_v1 returns how far the rows of each job are stored, in
-- the order of the jobs; nulls for a job that the tenant does not have.
-- +goose StatementBegin
create function pipeline_collections_v1(job_ids uuid[], tenants text[])
returns table (status text, sweep_run_id text, next_offset integer, total integer, failures integer)
language plpgsql
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    scope text := coalesce(current_setting('sweepline.scope', true), '');
begin
    perform set_config('sweepline.scope', 'service', true);
    return query
    select j.status::text, k.sweep_run_id, k.next_offset, k.total, k.failures
    from unnest(job_ids, tenants) with ordinality as p (job_id, tenant_id, n)
    left join lateral (select j.id, j.status from pipeline_jobs j where j.id = p.job_id and j.tenant_id is not distinct from p.tenant_id offset 0) j on true
    left join lateral (select * from pipeline_collections k where k.job_id = j.id offset 0) k on true
    order by p.n;
    perform set_config('sweepline.scope', scope, true);
end $$;
-- +goose StatementEnd

-- +goose Down
select set_config('sweepline.scope', 'service', true);
drop function pipeline_collections_v1;
drop function pipeline_collect_v1;
drop function pipeline_apply_v1;
drop trigger pipeline_forget on pipeline_jobs;
drop function pipeline_forget;

alter table trading_sweep_results add column id bigint generated always as identity primary key;
create index trading_sweep_results_job on trading_sweep_results (job_id);

alter table pipeline_jobs add column announced_at timestamptz;
update pipeline_jobs j set announced_at = completed_at
    where status in ('COMPLETED', 'FAILED') and not exists (select from pipeline_pending p where p.job_id = j.id);
drop index pipeline_jobs_created;
drop index pipeline_jobs_tenant_open;
drop index pipeline_jobs_tenant_status;
create index pipeline_jobs_tenant_status on pipeline_jobs (tenant_id, status, created_at desc, id desc);
create index pipeline_jobs_created on pipeline_jobs (created_at);
create index pipeline_jobs_unfinished on pipeline_jobs (created_at) where status in ('QUEUED', 'RUNNING');
create index pipeline_jobs_unannounced on pipeline_jobs (created_at) where announced_at is null and status in ('COMPLETED', 'FAILED');
drop table pipeline_collections;
drop table pipeline_pending;

alter table pipeline_job_events drop constraint pipeline_job_events_pkey;
alter table pipeline_job_events add column seq bigint generated always as identity primary key;
alter table pipeline_job_events alter column id type text;
alter table pipeline_job_events add unique (id);
alter table pipeline_job_events add foreign key (job_id) references pipeline_jobs (id) on delete cascade;
create index pipeline_job_events_job on pipeline_job_events (job_id, time, seq);
