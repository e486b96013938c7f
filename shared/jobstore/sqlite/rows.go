package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// chunk is how many rows are read at a time.
const chunk = 5000

const rowColumns = `coalesce(result_id, ''), ticker, strategy_type, fast_period, slow_period, signal_period, total_trades,
    score, sharpe_ratio, sortino_ratio, total_return_pct, max_drawdown_pct, win_rate_pct, profit_factor,
    annualized_return, trades_per_month, avg_trade_duration, expectancy_per_trade, calmar_ratio`

// Results yields all rows of a job; see jobstore.Store.
func (l *Store) Results(ctx context.Context, tenant, id string, by jobstore.Order) iter.Seq2[job.Row, error] {
	return func(yield func(job.Row, error) bool) {
		var after *job.Row
		for {
			rows, err := l.chunkOf(ctx, tenant, id, by, after)
			if err != nil {
				yield(job.Row{}, fmt.Errorf("read rows of job %s: %w", id, err))
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
			if len(rows) < chunk {
				return
			}
			after = &rows[len(rows)-1]
		}
	}
}

// noSignal sorts rows without a signal period before all others.
const noSignal = -1 << 31

// chunkOf reads the rows that follow after, which is nil at the start.
func (l *Store) chunkOf(ctx context.Context, tenant, id string, by jobstore.Order, after *job.Row) ([]job.Row, error) {
	q := "select " + rowColumns + " from trading_sweep_results where job_id = ? and tenant_id = ?"
	args := []any{id, tenant}
	if after != nil {
		signal := noSignal
		if after.SignalPeriod != nil {
			signal = *after.SignalPeriod
		}
		keys := "?, ?, ?, ?"
		if by == jobstore.ByScore {
			args, keys = append(args, -after.Score), "?, "+keys
		}
		args = append(args, after.FastPeriod, after.SlowPeriod, signal, after.StrategyType)
		q += fmt.Sprintf(" and (%s) > (%s)", by.SQL(), keys)
	}
	return l.rows(ctx, fmt.Sprintf("%s order by %s limit %d", q, by.SQL(), chunk), args)
}

// Rows returns one page of a job's rows; see jobstore.Store.
func (l *Store) Rows(ctx context.Context, tenant, id string, q jobstore.RowQuery) ([]job.Row, error) {
	limit, offset := q.Window()
	rows, err := l.rows(ctx, fmt.Sprintf("select %s from trading_sweep_results where job_id = ? and tenant_id = ? order by %s limit %d offset %d",
		rowColumns, q.OrderBy(), limit, offset), []any{id, tenant})
	if err != nil {
		return nil, fmt.Errorf("read rows of job %s: %w", id, err)
	}
	return rows, nil
}

// rows runs a query for rowColumns.
func (l *Store) rows(ctx context.Context, query string, args []any) ([]job.Row, error) {
	rows := []job.Row{}
	err := l.read(ctx, query, args, func(rs *sql.Rows) error {
		var r job.Row
		err := rs.Scan(&r.ResultID, &r.Ticker, &r.StrategyType, &r.FastPeriod, &r.SlowPeriod, &r.SignalPeriod, &r.TotalTrades,
			&r.Score, &r.SharpeRatio, &r.SortinoRatio, &r.TotalReturnPct, &r.MaxDrawdownPct, &r.WinRatePct, &r.ProfitFactor,
			&r.AnnualizedReturn, &r.TradesPerMonth, &r.AvgTradeDuration, &r.ExpectancyPerTrade, &r.CalmarRatio)
		rows = append(rows, jobstore.Clean(r))
		return err
	})
	return rows, err
}
