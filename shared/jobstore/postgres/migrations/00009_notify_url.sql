-- The address that is called at a job's end, of jobs that have one. It is said once, by
-- whichever event comes first, and written apart from the events: hardly a job has one.

-- +goose Up
alter table pipeline_jobs add column notify_url text;
comment on column pipeline_jobs.notify_url is 'address that is called when the job has ended; null where there is none';

-- pipeline_notify_urls_v1 writes the addresses of jobs that pipeline_apply has stored.
-- +goose StatementBegin
create function pipeline_notify_urls_v1(job_ids uuid[], job_tenants text[], job_urls text[])
returns void
language plpgsql
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
as $$
declare
    scope text := coalesce(current_setting('sweepline.scope', true), '');
begin
    perform set_config('sweepline.scope', 'service', true);
    update pipeline_jobs j set notify_url = u.url
    from unnest(job_ids, job_tenants, job_urls) as u (id, tenant_id, url)
    where j.id = u.id and j.tenant_id is not distinct from u.tenant_id and j.notify_url is null;
    perform set_config('sweepline.scope', scope, true);
end $$;
-- +goose StatementEnd

-- +goose Down
drop function pipeline_notify_urls_v1;
alter table pipeline_jobs drop column notify_url;
