-- The same as PostgreSQL's migration 00007: groups and labels (JSON) of jobs.

-- +goose Up
alter table pipeline_jobs add column group_id text;
alter table pipeline_jobs add column labels text;
create index pipeline_jobs_tenant_group on pipeline_jobs (tenant_id, group_id, created_at desc, id desc) where group_id is not null;
create index pipeline_jobs_tenant_labels on pipeline_jobs (tenant_id, created_at desc, id desc) where labels is not null;

-- +goose Down
drop index pipeline_jobs_tenant_labels;
drop index pipeline_jobs_tenant_group;
alter table pipeline_jobs drop column labels;
alter table pipeline_jobs drop column group_id;
