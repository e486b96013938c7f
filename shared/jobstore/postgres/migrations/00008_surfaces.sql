-- How each row of a sweep stands to its neighbours, and what maps of a large sweep are
-- drawn from: both are computed once, when the last row is stored.

-- +goose Up
alter table trading_sweep_results add column neighbour_worst numeric(20,6), add column neighbour_median numeric(20,6);
comment on column trading_sweep_results.neighbour_worst is 'worst score of the row and those around it; null where there are none, or nobody computed it';
comment on column trading_sweep_results.neighbour_median is 'their median';

-- Sweeps of one page have none: they are computed from their rows.
create table pipeline_surfaces (
    job_id    uuid primary key references pipeline_jobs (id) on delete cascade,
    tenant_id text not null,
    surface   bytea not null
);
comment on column pipeline_surfaces.surface is 'gzip of JSON, compressed already';
alter table pipeline_surfaces alter column surface set storage external;
alter table pipeline_surfaces enable row level security;
alter table pipeline_surfaces force row level security;
create policy tenant on pipeline_surfaces using (
    tenant_id = (select current_setting('sweepline.tenant', true))
    or (select coalesce(current_setting('sweepline.scope', true) = 'service', false)));

-- pipeline_collect_v2 is pipeline_collect_v1 with what is around each row. That one stays
-- for processes of the release before, which may run beside.
-- +goose StatementBegin
create function pipeline_collect_v2(
    page_jobs uuid[], page_tenants text[], page_runs text[], page_from integer[], page_next integer[], page_total integer[], page_last boolean[],
    row_pages integer[], row_results text[], row_tickers text[], row_strategies text[], row_fast integer[], row_slow integer[], row_signal integer[],
    row_trades integer[], row_score float8[], row_sharpe float8[], row_sortino float8[], row_return float8[], row_drawdown float8[], row_wins float8[],
    row_profit float8[], row_annual float8[], row_monthly float8[], row_duration float8[], row_expectancy float8[], row_calmar float8[],
    row_worst float8[], row_median float8[])
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
        annualized_return, trades_per_month, avg_trade_duration, expectancy_per_trade, calmar_ratio, neighbour_worst, neighbour_median)
    select page_jobs[page], page_tenants[page], page_runs[page], result_id, ticker, strategy_type,
        fast_period, slow_period, signal_period, total_trades,
        score, sharpe, sortino, return, drawdown, wins, profit, annual, monthly, duration, expectancy, calmar, worst, median
    from unnest(row_pages, row_results, row_tickers, row_strategies, row_fast, row_slow, row_signal, row_trades, row_score, row_sharpe,
        row_sortino, row_return, row_drawdown, row_wins, row_profit, row_annual, row_monthly, row_duration, row_expectancy, row_calmar,
        row_worst, row_median)
        as r (page, result_id, ticker, strategy_type, fast_period, slow_period, signal_period, total_trades, score, sharpe,
        sortino, return, drawdown, wins, profit, annual, monthly, duration, expectancy, calmar, worst, median)
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

-- pipeline_assess_v1 stores what is computed of all rows of a job, which are stored: its
-- surface, if it is not null, and for each entry of the arrays what is around that row. A
-- job that has ended is left as it is, and so are rows that say so already.
-- +goose StatementBegin
create function pipeline_assess_v1(job uuid, tenant text, strategy text, surface bytea, row_fast integer[], row_slow integer[], row_signal integer[],
    row_worst float8[], row_median float8[])
returns void
language plpgsql
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    scope text := coalesce(current_setting('sweepline.scope', true), '');
begin
    perform set_config('sweepline.scope', 'service', true);
    -- An end waits, and then finds all that is written here.
    perform from pipeline_jobs j where j.id = job and j.status < 'COMPLETED' and j.tenant_id is not distinct from tenant for share of j;
    if found then
        insert into pipeline_surfaces as s (job_id, tenant_id, surface)
        select job, tenant, pipeline_assess_v1.surface where pipeline_assess_v1.surface is not null
        on conflict (job_id) do update set surface = excluded.surface;
        update trading_sweep_results r set neighbour_worst = k.worst, neighbour_median = k.median
        from unnest(row_fast, row_slow, row_signal, row_worst, row_median) as k (fast, slow, signal, worst, median)
        where r.job_id = job and r.strategy_type = strategy and r.fast_period = k.fast and r.slow_period = k.slow
          and r.signal_period is not distinct from k.signal
          and (r.neighbour_worst is distinct from k.worst::numeric(20,6) or r.neighbour_median is distinct from k.median::numeric(20,6));
    end if;
    perform set_config('sweepline.scope', scope, true);
end $$;
-- +goose StatementEnd

-- +goose Down
drop function pipeline_assess_v1;
drop function pipeline_collect_v2;
drop table pipeline_surfaces;
alter table trading_sweep_results drop column neighbour_worst, drop column neighbour_median;
