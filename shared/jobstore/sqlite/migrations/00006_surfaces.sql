-- The same as PostgreSQL's migration 00008: what is around each row, and the surfaces of
-- large sweeps.

-- +goose Up
alter table trading_sweep_results add column neighbour_worst real;
alter table trading_sweep_results add column neighbour_median real;

create table pipeline_surfaces (
    job_id    text not null primary key references pipeline_jobs (id) on delete cascade,
    tenant_id text not null,
    surface   blob not null
) strict;

-- +goose Down
drop table pipeline_surfaces;
alter table trading_sweep_results drop column neighbour_worst;
alter table trading_sweep_results drop column neighbour_median;
