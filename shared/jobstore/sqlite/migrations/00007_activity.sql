-- +goose Up
-- Jobs by when they were created, with what counting them by interval reads: their rows
-- hold results, and a month of them is a gigabyte.
drop index pipeline_jobs_tenant_created;
create index pipeline_jobs_tenant_created on pipeline_jobs (tenant_id, created_at desc, id desc, status, error_code, completed_at);

-- +goose Down
drop index pipeline_jobs_tenant_created;
create index pipeline_jobs_tenant_created on pipeline_jobs (tenant_id, created_at desc, id desc);
