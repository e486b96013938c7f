-- Labels and groups of jobs. Both are said once, by whichever event comes first. Jobs
-- without them are in none of the indexes. No operator of JSON is leakproof, so that under
-- row-level security a label can be no condition of an index: it keeps to the jobs that
-- have labels.

-- +goose Up
alter table pipeline_jobs add column group_id uuid, add column labels jsonb;
create index pipeline_jobs_tenant_group on pipeline_jobs (tenant_id, group_id, created_at desc, id desc) where group_id is not null;
create index pipeline_jobs_tenant_labels on pipeline_jobs (tenant_id, created_at desc, id desc) where labels is not null;

-- pipeline_apply_v2 is pipeline_apply_v1 (see 00003) with the group and the labels (JSON) of
-- each job, or nulls. The first stays for processes from before, while they are replaced.
-- +goose StatementBegin
create function pipeline_apply_v2(
    job_ids uuid[], job_tenants text[], job_types text[], job_states text[], job_parameters text[], job_created timestamptz[],
    job_started timestamptz[], job_attempts integer[], job_sweeps text[], job_retries uuid[],
    end_ids uuid[], end_tenants text[], end_types text[], end_parameters text[], end_created timestamptz[], end_retries uuid[],
    end_states text[], end_runs text[], end_completed timestamptz[], end_codes text[], end_messages text[],
    end_results text[], end_metrics text[], end_told timestamptz[],
    event_ids text[], event_jobs uuid[], event_tenants text[], event_types text[], event_times timestamptz[],
    event_attempts integer[], event_errors text[], event_data text[],
    told uuid[],
    job_groups uuid[], job_labels text[])
returns table (
    state text, job_id uuid, job_tenant text, job_type text, status text, parameters jsonb, result jsonb, metrics jsonb,
    error_code text, error_message text, created_at timestamptz, started_at timestamptz, completed_at timestamptz,
    attempts integer, trading_job_id text, sweep_run_id text, retry_of uuid, group_id uuid, labels jsonb)
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
            insert into pipeline_jobs as j (id, tenant_id, job_type, status, parameters, created_at, started_at, attempts, trading_job_id, retry_of, group_id, labels)
            select job_ids[n], job_tenants[n], job_types[n], job_states[n]::pipeline_job_status, job_parameters[n]::jsonb, job_created[n],
                job_started[n], job_attempts[n], job_sweeps[n], job_retries[n], job_groups[n], job_labels[n]::jsonb
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
            j.error_code, j.error_message, j.created_at, j.started_at, j.completed_at, j.attempts, j.trading_job_id, j.sweep_run_id, j.retry_of, j.group_id, j.labels
        from unnest(end_ids, end_tenants) as e (id, tenant_id)
        cross join lateral (select * from pipeline_jobs j where j.id = e.id and j.tenant_id is not distinct from e.tenant_id offset 0) j;
    end if;
    if strange is not null then
        return query
        select 'foreign', job_ids[n], job_tenants[n], null::text, null::text, null::jsonb, null::jsonb, null::jsonb, null::text, null::text,
            null::timestamptz, null::timestamptz, null::timestamptz, null::integer, null::text, null::text, null::uuid, null::uuid, null::jsonb
        from unnest(strange) n;
    end if;
    perform set_config('sweepline.scope', scope, true);
end $$;
-- +goose StatementEnd

-- +goose Down
drop function pipeline_apply_v2;
alter table pipeline_jobs drop column group_id, drop column labels;
