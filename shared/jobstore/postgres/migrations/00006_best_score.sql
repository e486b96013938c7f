-- Jobs are listed by their best score. A column, since row-level security lets no
-- operator of JSON be a condition of an index. Only completed jobs have a score, and
-- are in the index: it costs a job one entry, at its end. A sweep without rows has the
-- lowest score there is. The table is written anew once.

-- +goose Up
alter table pipeline_jobs add column best_score double precision generated always as (
    case when status = 'COMPLETED' then
        case when jsonb_typeof(metrics -> 'best_score') = 'number' and coalesce(metrics -> 'combinations', '0') <> '0'
            then greatest(-1e300, least(1e300, (metrics -> 'best_score')::numeric))::double precision
            else '-infinity' end
    end) stored;
create index pipeline_jobs_tenant_score on pipeline_jobs (tenant_id, best_score desc, created_at desc, id desc) where best_score is not null;

-- +goose Down
alter table pipeline_jobs drop column best_score;
