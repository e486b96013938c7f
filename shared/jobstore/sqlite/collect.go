package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/internal/fold"
)

const insertRow = `
insert into trading_sweep_results (job_id, tenant_id, sweep_run_id, result_id, ticker, strategy_type,
    fast_period, slow_period, signal_period, total_trades,
    score, sharpe_ratio, sortino_ratio, total_return_pct, max_drawdown_pct, win_rate_pct, profit_factor,
    annualized_return, trades_per_month, avg_trade_duration, expectancy_per_trade, calmar_ratio,
    neighbour_worst, neighbour_median)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict do nothing`

const readCollection = `
select j.status, coalesce(k.sweep_run_id, ''), coalesce(k.next_offset, 0), coalesce(k.total, 0), coalesce(k.failures, 0)
from pipeline_jobs j left join pipeline_collections k on k.job_id = j.id where j.id = ? and j.tenant_id = ?`

const putCollection = `
insert into pipeline_collections (job_id, sweep_run_id, next_offset, total, failures) values (?1, ?2, ?3, ?4, ?5)
on conflict (job_id) do update set sweep_run_id = ?2, next_offset = ?3, total = ?4, failures = ?5`

// queryer is a *sql.DB or *sql.Tx.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func collectionOf(ctx context.Context, q queryer, h job.Header) (c jobstore.Collection, err error) {
	err = q.QueryRowContext(ctx, readCollection, h.JobID, h.TenantID).Scan(&c.Status, &c.SweepRunID, &c.Next, &c.Total, &c.Failures)
	if errors.Is(err, sql.ErrNoRows) {
		return jobstore.Collection{}, nil
	}
	return c, err
}

// Collections returns how far each job's rows are stored; see jobstore.Store.
func (l *Store) Collections(ctx context.Context, jobs ...job.Header) ([]jobstore.Collection, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	out := make([]jobstore.Collection, len(jobs))
	for i, h := range jobs {
		var err error
		if out[i], err = collectionOf(ctx, l.reader, h); err != nil {
			return nil, fmt.Errorf("read collection of job %s: %w", h.JobID, classify(err))
		}
	}
	return out, nil
}

// Collect stores pages of rows; see jobstore.Store.
func (l *Store) Collect(ctx context.Context, pages ...jobstore.ResultPage) ([]jobstore.Collection, error) {
	return l.collects.Do(ctx, pages...)
}

func (l *Store) collect(ctx context.Context, pages []jobstore.ResultPage) ([]jobstore.Collection, error) {
	out := make([]jobstore.Collection, len(pages))
	err := l.inTx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		for i, p := range pages {
			if out[i], err = l.putPage(ctx, tx, p); err != nil {
				return fmt.Errorf("job %s: %w", p.Header.JobID, err)
			}
		}
		return nil
	})
	if errors.Is(err, fold.ErrRefused) {
		err = fmt.Errorf("%w: %w", jobstore.ErrUnreadable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("store %d pages of rows: %w", len(pages), err)
	}
	return out, nil
}

func (l *Store) putPage(ctx context.Context, tx *sql.Tx, p jobstore.ResultPage) (jobstore.Collection, error) {
	id, run := p.Header.JobID, jobstore.Text(p.SweepRunID, longestRun)
	have, err := collectionOf(ctx, tx, p.Header)
	if err != nil || have.Status == "" || have.Status.Terminal() {
		return have, err
	}
	whole := p.From == 0 && p.Last
	switch {
	case p.From == 0 && (whole || have.Next == 0 || have.SweepRunID != run):
		// Another run's rows are no part of this one.
		if _, err := tx.ExecContext(ctx, "delete from trading_sweep_results where job_id = ? and sweep_run_id <> ?", id, run); err != nil {
			return have, err
		}
	case p.From > 0 && have.Next == p.From && have.SweepRunID == run:
	default:
		return have, nil // it does not continue what is there
	}
	have = jobstore.Collection{Status: have.Status, SweepRunID: run, Next: p.Next, Total: p.Total}
	if !whole {
		if _, err := tx.ExecContext(ctx, putCollection, id, run, p.Next, p.Total, 0); err != nil {
			return have, err
		}
	}
	insert := tx.StmtContext(ctx, l.stmts.insertRow)
	for _, r := range jobstore.CleanAll(p.Rows) {
		_, err := insert.ExecContext(ctx, id, p.Header.TenantID, run, orNull(r.ResultID), r.Ticker, r.StrategyType,
			r.FastPeriod, r.SlowPeriod, maybe(r.SignalPeriod), r.TotalTrades,
			r.Score, r.SharpeRatio, r.SortinoRatio, r.TotalReturnPct, r.MaxDrawdownPct, r.WinRatePct, r.ProfitFactor,
			maybe(r.AnnualizedReturn), maybe(r.TradesPerMonth), maybe(r.AvgTradeDuration), maybe(r.ExpectancyPerTrade), maybe(r.CalmarRatio),
			maybe(r.NeighbourWorst), maybe(r.NeighbourMedian))
		if err != nil {
			return have, fmt.Errorf("insert row: %w", err)
		}
	}
	return have, nil
}

// CollectFailed counts a failed attempt at a page; see jobstore.Store.
func (l *Store) CollectFailed(ctx context.Context, h job.Header, runID string) (failures int, err error) {
	run := jobstore.Text(runID, longestRun)
	err = l.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		have, err := collectionOf(ctx, tx, h)
		if err != nil || have.Status == "" || have.Status.Terminal() {
			return err
		}
		if have.SweepRunID != run {
			have = jobstore.Collection{}
		}
		failures = have.Failures + 1
		_, err = tx.ExecContext(ctx, putCollection, h.JobID, run, have.Next, have.Total, failures)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count failed page of job %s: %w", h.JobID, err)
	}
	return failures, nil
}

// Summary sums up a job's rows; see jobstore.Store.
func (l *Store) Summary(ctx context.Context, tenant, id string) (jobstore.Summary, error) {
	var s jobstore.Summary
	err := l.read(ctx, "select count(*), coalesce(max(score), 0) from trading_sweep_results where job_id = ? and tenant_id = ?",
		[]any{id, tenant}, func(rows *sql.Rows) error { return rows.Scan(&s.Rows, &s.BestScore) })
	if err == nil {
		s.Best, err = l.Rows(ctx, tenant, id, jobstore.RowQuery{Limit: jobstore.BestRows})
	}
	if err != nil {
		return s, fmt.Errorf("sum up rows of job %s: %w", id, err)
	}
	return s, nil
}

// longestRun bounds a run's id as fold does.
const longestRun = 200

func maybe[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}
