-- The same as PostgreSQL's migration 00005: indexes of cancelled jobs and of retries.

-- +goose Up
create index pipeline_jobs_tenant_cancelled on pipeline_jobs (tenant_id, created_at desc, id desc) where error_code = 'cancelled';
create index pipeline_jobs_retry_of on pipeline_jobs (retry_of) where retry_of is not null;

-- +goose Down
drop index pipeline_jobs_retry_of;
drop index pipeline_jobs_tenant_cancelled;
