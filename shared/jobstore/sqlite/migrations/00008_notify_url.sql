-- The same as PostgreSQL's migration 00009: the address that is called at a job's end.

-- +goose Up
alter table pipeline_jobs add column notify_url text;

-- +goose Down
alter table pipeline_jobs drop column notify_url;
