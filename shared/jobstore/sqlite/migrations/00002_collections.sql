-- The same as PostgreSQL's migration 00003: what is pending and how far rows are
-- stored have tables of their own.

-- +goose Up
create table pipeline_pending (job_id text not null primary key) strict, without rowid;
insert into pipeline_pending select id from pipeline_jobs
    where status in ('QUEUED', 'RUNNING') or announced_at is null;
drop index pipeline_jobs_unfinished;
drop index pipeline_jobs_unannounced;
alter table pipeline_jobs drop column announced_at;

create table pipeline_collections (
    job_id       text not null primary key,
    sweep_run_id text not null,
    next_offset  integer not null default 0,
    -- 0 while it is not known
    total        integer not null default 0,
    -- failed attempts at the page that begins at next_offset
    failures     integer not null default 0
) strict, without rowid;

-- +goose Down
drop table pipeline_collections;
alter table pipeline_jobs add column announced_at integer;
update pipeline_jobs set announced_at = completed_at
    where status in ('COMPLETED', 'FAILED') and id not in (select job_id from pipeline_pending);
drop table pipeline_pending;
create index pipeline_jobs_unfinished on pipeline_jobs (created_at, id) where status in ('QUEUED', 'RUNNING');
create index pipeline_jobs_unannounced on pipeline_jobs (created_at, id) where announced_at is null and status in ('COMPLETED', 'FAILED');
