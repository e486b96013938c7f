-- The same as PostgreSQL's migration 00006: the best score of completed jobs.

-- +goose Up
alter table pipeline_jobs add column best_score real generated always as (
    case when status = 'COMPLETED' then
        case when json_valid(metrics) and json_type(metrics, '$.best_score') in ('integer', 'real') and coalesce(metrics ->> 'combinations', 0) <> 0
            then cast(metrics ->> 'best_score' as real)
            else -9e999 end
    end) virtual;
create index pipeline_jobs_tenant_score on pipeline_jobs (tenant_id, best_score desc, created_at desc, id desc) where best_score is not null;

-- +goose Down
drop index pipeline_jobs_tenant_score;
alter table pipeline_jobs drop column best_score;
