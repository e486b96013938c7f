package postgres_test

import (
	"context"
	"database/sql"
	"os"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// before is a database as version 2 of the schema left it: one job of each
// state, an ended one of which nobody was told, and a row without a signal.
const before = `
select set_config('sweepline.scope', 'service', false);
insert into pipeline_jobs (id, tenant_id, job_type, status, parameters, result, metrics, error_code, error_message, created_at, completed_at, sweep_run_id, announced_at)
select ('01900000-0000-7000-8000-00000000000' || n)::uuid, 'default', 'trading-sweep', s::pipeline_job_status,
    '{"ticker": "DAX", "fast_range": [5, 20], "slow_range": [10, 50], "step": 5, "min_trades": 50, "strategy_type": "SMA"}',
    '[]', null, case s when 'FAILED' then 'timed_out' end, case s when 'FAILED' then 'no result' end,
    '2026-03-01 12:00:00Z'::timestamptz + n * interval '1 second',
    case when s in ('COMPLETED', 'FAILED') then '2026-03-01 13:00:00Z'::timestamptz end, 'run-1', case when n = 4 then now() end
from unnest(array['QUEUED', 'RUNNING', 'COMPLETED', 'FAILED']) with ordinality as j (s, n);
insert into trading_sweep_results (job_id, tenant_id, sweep_run_id, ticker, strategy_type, fast_period, slow_period, score, sharpe_ratio,
    sortino_ratio, total_return_pct, max_drawdown_pct, win_rate_pct, profit_factor, total_trades)
select '01900000-0000-7000-8000-000000000003', 'default', 'run-1', 'DAX', 'SMA', f, 50, f, 1, 1, 1, 1, 1, 1, 60 from generate_series(1, 5) f;
insert into pipeline_job_events (id, job_id, tenant_id, type, time, data)
select j.id || '/' || e.step, j.id, 'default', e.type, '2026-03-01 13:00:00Z', '{"job_id": "x"}'
from pipeline_jobs j, (values ('job', 'com.zixly.job.failed.v1'), ('failed', 'com.zixly.sweep.failed.v1'), ('notified/log', 'com.zixly.job.notified.v1'), ('requested', 'com.zixly.sweep.requested.v1'))
    as e (step, type)
where j.status = 'FAILED' or e.step = 'requested';
`

func TestAnExistingDatabaseIsChangedInPlace(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	old, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS("migrations"))
	require.NoError(t, err)
	_, err = old.UpTo(t.Context(), 2)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), before)
	require.NoError(t, err)

	l := open(t, url, true)
	require.NoError(t, l.Start(t.Context()))
	id := func(n string) string { return "01900000-0000-7000-8000-00000000000" + n }
	p, err := l.Jobs(t.Context(), "default", jobstore.Query{})
	require.NoError(t, err)
	require.Len(t, p.Jobs, 4)
	open, unnotified := jobstoretest.Pending(t, l)
	require.Equal(t, []string{id("1"), id("2")}, []string{open[0].JobID, open[1].JobID})
	require.Len(t, unnotified, 1)
	require.Equal(t, id("3"), unnotified[0].JobID)
	events, err := l.Timeline(t.Context(), "default", id("4"))
	require.NoError(t, err)
	types := []string{}
	for _, e := range events {
		types = append(types, e.Type)
	}
	require.Equal(t, []string{event.SweepRequested, event.SweepFailed, event.JobFailed, event.JobNotified}, types)
	rows, err := l.Rows(t.Context(), "default", id("3"), jobstore.RowQuery{})
	require.NoError(t, err)
	require.Len(t, rows, 5)
	require.Equal(t, 5.0, rows[0].Score)

	// What was begun under the old schema ends under the new one.
	h := open[0].Header()
	require.True(t, jobstoretest.Complete(t, l, h, jobstoretest.Rows(2)).First)
	again := l.Apply(t.Context(), jobstoretest.Life(t, h).Requested, jobstoretest.Notified(t, h, "log"))
	require.NoError(t, jobstore.Errors(again))
	h.JobID = id("3")
	require.NoError(t, jobstore.Errors(l.Apply(t.Context(), jobstoretest.Notified(t, h, "log"))))
	_, unnotified = jobstoretest.Pending(t, l)
	require.Empty(t, unnotified)

	// Deleting a job takes everything of it along.
	_, err = db.ExecContext(t.Context(), "select set_config('sweepline.scope', 'service', false)")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "delete from pipeline_jobs")
	require.NoError(t, err)
	for _, table := range []string{"trading_sweep_results", "pipeline_job_events", "pipeline_pending", "pipeline_collections"} {
		var n int
		require.NoError(t, db.QueryRowContext(t.Context(), "select count(*) from "+table).Scan(&n))
		require.Zero(t, n, table)
	}

	// The way back, and forth again.
	_, err = old.DownTo(t.Context(), 2)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), before)
	require.NoError(t, err)
	_, err = old.Up(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
	j, err := l.Job(t.Context(), "default", id("4"))
	require.NoError(t, err)
	require.Equal(t, job.TimedOut, j.ErrorCode)
}

// TestIndexes are those that are promised, and no others.
func TestIndexes(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	require.NoError(t, open(t, url, true).Start(t.Context()))
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(t.Context(), `select regexp_replace(indexdef, '.* ON public\.', '') from pg_indexes
		where schemaname = 'public' and tablename like any (array['pipeline%', 'trading%']) order by 1`)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	var got []string
	for rows.Next() {
		var s string
		require.NoError(t, rows.Scan(&s))
		got = append(got, s)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{
		"pipeline_collections USING btree (job_id)",
		"pipeline_job_events USING btree (job_id, id)",
		"pipeline_jobs USING brin (created_at)",
		"pipeline_jobs USING btree (id)",
		"pipeline_jobs USING btree (retry_of) WHERE (retry_of IS NOT NULL)",
		"pipeline_jobs USING btree (tenant_id, best_score DESC, created_at DESC, id DESC) WHERE (best_score IS NOT NULL)",
		"pipeline_jobs USING btree (tenant_id, created_at DESC, id DESC)",
		"pipeline_jobs USING btree (tenant_id, created_at DESC, id DESC) WHERE (error_code = 'cancelled'::text)",
		"pipeline_jobs USING btree (tenant_id, created_at DESC, id DESC) WHERE (labels IS NOT NULL)",
		"pipeline_jobs USING btree (tenant_id, created_at DESC, id DESC) WHERE (status <> 'COMPLETED'::pipeline_job_status)",
		"pipeline_jobs USING btree (tenant_id, group_id, created_at DESC, id DESC) WHERE (group_id IS NOT NULL)",
		"pipeline_jobs USING btree (tenant_id, status)",
		"pipeline_jobs USING btree (tenant_id, ticker, created_at DESC, id DESC)",
		"pipeline_pending USING btree (job_id)", "pipeline_surfaces USING btree (job_id)",
		"trading_sweep_results USING btree (job_id, strategy_type, fast_period, slow_period, signal_period) NULLS NOT DISTINCT",
		"trading_sweep_results USING btree (sweep_run_id)",
		"trading_sweep_results USING btree (ticker, score)",
	}, got)
}
