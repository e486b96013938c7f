package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/internal/fold"
)

// collectSQL and collectionsSQL are fixed texts; see migrations/00008 and
// 00003.
var (
	collectSQL     = "select * from pipeline_collect_v2(" + parameters(29) + ")"
	collectionsSQL = "select * from pipeline_collections_v1($1, $2)"
)

// collectFailed counts a failed attempt. The collection may not have begun.
const collectFailed = `
insert into pipeline_collections as k (job_id, tenant_id, sweep_run_id, failures)
select id, tenant_id, $3, 1 from pipeline_jobs where id = $1 and tenant_id is not distinct from $2 and status < 'COMPLETED'
on conflict (job_id) do update set
    failures     = case when k.sweep_run_id = excluded.sweep_run_id then k.failures else 0 end + 1,
    next_offset  = case when k.sweep_run_id = excluded.sweep_run_id then k.next_offset else 0 end,
    sweep_run_id = excluded.sweep_run_id, updated_at = now()
returning failures`

// Collect stores pages of rows; see jobstore.Store. COPY would be faster but is
// refused on a table with row-level security.
func (l *Store) Collect(ctx context.Context, pages ...jobstore.ResultPage) ([]jobstore.Collection, error) {
	return l.collects.Do(ctx, pages...)
}

func (l *Store) collect(ctx context.Context, pages []jobstore.ResultPage) ([]jobstore.Collection, error) {
	// Sorted, so that two writers lock jobs in the same order.
	order := make([]int, len(pages))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(strings.Compare(pages[a].Header.JobID, pages[b].Header.JobID), cmp.Compare(a, b))
	})
	sorted := make([]jobstore.ResultPage, len(pages))
	for i, at := range order {
		sorted[i] = pages[at]
	}
	stored, err := l.readCollections(ctx, collectSQL, collectArgs(sorted))
	if errors.Is(err, fold.ErrRefused) {
		err = fmt.Errorf("%w: %w", jobstore.ErrUnreadable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("store %d pages of rows: %w", len(pages), err)
	}
	if len(stored) != len(pages) {
		return nil, fmt.Errorf("store %d pages of rows: got %d results", len(pages), len(stored))
	}
	out := make([]jobstore.Collection, len(pages))
	for i, at := range order {
		out[at] = stored[i]
	}
	return out, nil
}

// Collections returns how far each job's rows are stored; see jobstore.Store.
func (l *Store) Collections(ctx context.Context, jobs ...job.Header) ([]jobstore.Collection, error) {
	return l.looks.Do(ctx, jobs...)
}

func (l *Store) collections(ctx context.Context, jobs []job.Header) ([]jobstore.Collection, error) {
	out, err := l.readCollections(ctx, collectionsSQL, []any{
		each(jobs, func(h job.Header) string { return h.JobID }),
		each(jobs, func(h job.Header) string { return h.TenantID }),
	})
	if err != nil {
		return nil, fmt.Errorf("read collections of %d jobs: %w", len(jobs), err)
	}
	return out, nil
}

func (l *Store) readCollections(ctx context.Context, sql string, args []any) ([]jobstore.Collection, error) {
	var out []jobstore.Collection
	err := l.call(ctx, l.cfg.BulkTimeout, sql, args, func(rows pgx.Rows) error {
		out = nil
		for rows.Next() {
			var status, run *string
			var next, total, failures *int
			if err := rows.Scan(&status, &run, &next, &total, &failures); err != nil {
				return fmt.Errorf("read collection: %w", err)
			}
			out = append(out, jobstore.Collection{
				Status: job.State(orEmpty(status)), SweepRunID: orEmpty(run), Next: orZero(next), Total: orZero(total), Failures: orZero(failures),
			})
		}
		return rows.Err()
	})
	return out, err
}

// CollectFailed counts a failed attempt at a page; see jobstore.Store.
func (l *Store) CollectFailed(ctx context.Context, h job.Header, runID string) (failures int, err error) {
	err = l.read(ctx, service, collectFailed, []any{h.JobID, h.TenantID, runID}, func(rows pgx.Rows) error { return rows.Scan(&failures) })
	if err != nil {
		return 0, fmt.Errorf("count failed page of job %s: %w", h.JobID, err)
	}
	return failures, nil
}

// Summary sums up a job's rows; see jobstore.Store.
func (l *Store) Summary(ctx context.Context, tenantID, id string) (jobstore.Summary, error) {
	var s jobstore.Summary
	err := l.read(ctx, l.tenant(tenantID), "select count(*), coalesce(max(score), 0)::float8 from trading_sweep_results where job_id = $1 and tenant_id = $2",
		[]any{id, tenantID}, func(rows pgx.Rows) error { return rows.Scan(&s.Rows, &s.BestScore) })
	if err == nil {
		s.Best, err = l.Rows(ctx, tenantID, id, jobstore.RowQuery{Limit: jobstore.BestRows})
	}
	if err != nil {
		return s, fmt.Errorf("sum up rows of job %s: %w", id, err)
	}
	return s, nil
}

// collectArgs turns pages and their rows sideways.
func collectArgs(pages []jobstore.ResultPage) []any {
	type numbered struct {
		job.Row
		page int32
	}
	var rows []numbered
	for i, p := range pages {
		for _, r := range jobstore.CleanAll(p.Rows) {
			rows = append(rows, numbered{r, int32(i + 1)})
		}
	}
	type page = jobstore.ResultPage
	return []any{
		each(pages, func(p page) string { return p.Header.JobID }),
		each(pages, func(p page) string { return p.Header.TenantID }),
		each(pages, func(p page) string { return jobstore.Text(p.SweepRunID, longestRun) }),
		each(pages, func(p page) int32 { return int32(p.From) }),
		each(pages, func(p page) int32 { return int32(p.Next) }),
		each(pages, func(p page) int32 { return int32(p.Total) }),
		each(pages, func(p page) bool { return p.Last }),

		each(rows, func(r numbered) int32 { return r.page }),
		each(rows, func(r numbered) *string { return orNull(r.ResultID) }),
		each(rows, func(r numbered) string { return r.Ticker }),
		each(rows, func(r numbered) string { return r.StrategyType }),
		each(rows, func(r numbered) int32 { return int32(r.FastPeriod) }),
		each(rows, func(r numbered) int32 { return int32(r.SlowPeriod) }),
		each(rows, func(r numbered) *int32 {
			if r.SignalPeriod == nil {
				return nil
			}
			v := int32(*r.SignalPeriod)
			return &v
		}),
		each(rows, func(r numbered) int32 { return int32(r.TotalTrades) }),
		each(rows, func(r numbered) float64 { return r.Score }),
		each(rows, func(r numbered) float64 { return r.SharpeRatio }),
		each(rows, func(r numbered) float64 { return r.SortinoRatio }),
		each(rows, func(r numbered) float64 { return r.TotalReturnPct }),
		each(rows, func(r numbered) float64 { return r.MaxDrawdownPct }),
		each(rows, func(r numbered) float64 { return r.WinRatePct }),
		each(rows, func(r numbered) float64 { return r.ProfitFactor }),
		each(rows, func(r numbered) *float64 { return r.AnnualizedReturn }),
		each(rows, func(r numbered) *float64 { return r.TradesPerMonth }),
		each(rows, func(r numbered) *float64 { return r.AvgTradeDuration }),
		each(rows, func(r numbered) *float64 { return r.ExpectancyPerTrade }),
		each(rows, func(r numbered) *float64 { return r.CalmarRatio }),
		each(rows, func(r numbered) *float64 { return r.NeighbourWorst }),
		each(rows, func(r numbered) *float64 { return r.NeighbourMedian }),
	}
}

// longestRun bounds a run's id as fold does.
const longestRun = 200
