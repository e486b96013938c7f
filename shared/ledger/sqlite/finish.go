package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/ledger/internal/fold"
)

// endJob ends a job that has not ended.
const endJob = `
update pipeline_jobs set status = ?3, completed_at = ?4, error_code = ?5, error_message = ?6, result = ?7, metrics = ?8
where id = ?1 and tenant_id = ?2 and status in ('QUEUED', 'RUNNING')`

const insertRow = `
insert into trading_sweep_results (job_id, tenant_id, sweep_run_id, result_id, ticker, strategy_type,
    fast_period, slow_period, signal_period, total_trades,
    score, sharpe_ratio, sortino_ratio, total_return_pct, max_drawdown_pct, win_rate_pct, profit_factor,
    annualized_return, trades_per_month, avg_trade_duration, expectancy_per_trade, calmar_ratio)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict do nothing`

// Finish ends a job; see ledger.Ledger.
func (l *Ledger) Finish(ctx context.Context, e cloudevents.Event, o ledger.Outcome) (ledger.Finished, error) {
	end, err := fold.Finish(e, o)
	if err != nil {
		return ledger.Finished{}, err
	}
	var f ledger.Finished
	err = l.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		f, err = l.finish(ctx, tx, end)
		return err
	})
	if err != nil {
		return ledger.Finished{}, fmt.Errorf("finish job %s: %w", end.Line.JobID, err)
	}
	return f, nil
}

func (l *Ledger) finish(ctx context.Context, tx *sql.Tx, end fold.End) (ledger.Finished, error) {
	var f ledger.Finished
	if err := l.put(ctx, tx, []fold.Change{end.Change}, []fold.Line{end.Line}); err != nil {
		return f, err
	}
	id, tenant := end.Line.JobID, end.Line.TenantID
	best, metrics, err := encode(end)
	if err != nil {
		return f, err
	}
	done, err := tx.StmtContext(ctx, l.write.endJob).ExecContext(ctx, id, tenant, string(end.Status), end.CompletedAt.UnixMicro(),
		orNull(string(end.Failure.Code)), orNull(end.Failure.Message), best, metrics)
	if err != nil {
		return f, fmt.Errorf("end job: %w", err)
	}
	n, err := done.RowsAffected()
	if err != nil {
		return f, fmt.Errorf("end job: %w", err)
	}
	f.First = n == 1
	f.Job, err = scanJob(tx.QueryRowContext(ctx, "select "+jobColumns+" from pipeline_jobs where id = ? and tenant_id = ?", id, tenant))
	if errors.Is(err, sql.ErrNoRows) {
		return f, fmt.Errorf("%w: %s is another tenant's job", ledger.ErrUnreadable, id)
	}
	if err != nil {
		return f, err
	}
	if f.First && end.Status == job.Completed {
		if err := l.insertRows(ctx, tx, f.Job, end.Rows); err != nil {
			return f, err
		}
	}
	line, err := fold.Announcement(f.Job)
	if err != nil {
		return f, err
	}
	return f, l.put(ctx, tx, nil, []fold.Line{line})
}

// encode makes the JSON of a completed job's best rows and metrics.
func encode(end fold.End) (best, metrics any, err error) {
	if end.Status != job.Completed {
		return nil, nil, nil
	}
	b, err := json.Marshal(ledger.Best(end.Rows))
	if err != nil {
		return nil, nil, fmt.Errorf("encode best rows: %w", err)
	}
	m, err := json.Marshal(end.Metrics)
	if err != nil {
		return nil, nil, fmt.Errorf("encode metrics: %w", err)
	}
	return string(b), string(m), nil
}

func (l *Ledger) insertRows(ctx context.Context, tx *sql.Tx, j job.Job, rows []job.Row) error {
	insert := tx.StmtContext(ctx, l.write.insertRow)
	for _, r := range rows {
		_, err := insert.ExecContext(ctx, j.JobID, j.TenantID, j.SweepRunID, orNull(r.ResultID), r.Ticker, r.StrategyType,
			r.FastPeriod, r.SlowPeriod, maybe(r.SignalPeriod), r.TotalTrades,
			r.Score, r.SharpeRatio, r.SortinoRatio, r.TotalReturnPct, r.MaxDrawdownPct, r.WinRatePct, r.ProfitFactor,
			maybe(r.AnnualizedReturn), maybe(r.TradesPerMonth), maybe(r.AvgTradeDuration), maybe(r.ExpectancyPerTrade), maybe(r.CalmarRatio))
		if err != nil {
			return fmt.Errorf("insert row: %w", err)
		}
	}
	return nil
}

func maybe[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}
