package postgres

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// chunk is how many rows are read at a time: a few hundred kilobytes.
const chunk = 5000

const rowColumns = `coalesce(result_id, ''), ticker, strategy_type, fast_period, slow_period, signal_period, total_trades,
    score::float8, sharpe_ratio::float8, sortino_ratio::float8, total_return_pct::float8, max_drawdown_pct::float8,
    win_rate_pct::float8, profit_factor::float8, annualized_return::float8, trades_per_month::float8,
    avg_trade_duration::float8, expectancy_per_trade::float8, calmar_ratio::float8`

// Results yields all rows of a job; see jobstore.Store.
func (l *Store) Results(ctx context.Context, tenantID, id string, by jobstore.Order) iter.Seq2[job.Row, error] {
	return func(yield func(job.Row, error) bool) {
		if !job.ValidID(id) {
			return
		}
		var after *job.Row
		for {
			rows, err := l.chunkOf(ctx, tenantID, id, by, after)
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

// noSignal sorts rows without a signal period first, as SQLite does.
const noSignal = -2147483648

// chunkOf reads the rows that follow after, which is nil at the start.
func (l *Store) chunkOf(ctx context.Context, tenantID, id string, by jobstore.Order, after *job.Row) ([]job.Row, error) {
	q := "select " + rowColumns + " from trading_sweep_results where job_id = $1 and tenant_id = $2"
	args := []any{id, tenantID}
	if after != nil {
		signal := noSignal
		if after.SignalPeriod != nil {
			signal = *after.SignalPeriod
		}
		args = append(args, after.FastPeriod, after.SlowPeriod, signal, after.StrategyType)
		keys := "$3, $4, $5, $6"
		if by == jobstore.ByScore {
			args, keys = append(args, after.Score), "-($7::float8::numeric(20,6)), "+keys
		}
		q += fmt.Sprintf(" and (%s) > (%s)", by.SQL(), keys)
	}
	return l.rows(ctx, tenantID, fmt.Sprintf("%s order by %s limit %d", q, by.SQL(), chunk), args)
}

// Rows returns one page of a job's rows; see jobstore.Store.
func (l *Store) Rows(ctx context.Context, tenantID, id string, q jobstore.RowQuery) ([]job.Row, error) {
	if !job.ValidID(id) {
		return []job.Row{}, nil
	}
	limit, offset := q.Window()
	rows, err := l.rows(ctx, tenantID, fmt.Sprintf("select %s from trading_sweep_results where job_id = $1 and tenant_id = $2 order by %s limit %d offset %d",
		rowColumns, q.OrderBy(), limit, offset), []any{id, tenantID})
	if err != nil {
		return nil, fmt.Errorf("read rows of job %s: %w", id, err)
	}
	return rows, nil
}

// rows runs a query for rowColumns. Figures that JSON has no word for, which
// numeric columns can hold, are read as Clean would have stored them.
func (l *Store) rows(ctx context.Context, tenantID, query string, args []any) ([]job.Row, error) {
	rows := []job.Row{}
	err := l.read(ctx, l.tenant(tenantID), query, args, func(rs pgx.Rows) error {
		var r job.Row
		err := rs.Scan(&r.ResultID, &r.Ticker, &r.StrategyType, &r.FastPeriod, &r.SlowPeriod, &r.SignalPeriod, &r.TotalTrades,
			&r.Score, &r.SharpeRatio, &r.SortinoRatio, &r.TotalReturnPct, &r.MaxDrawdownPct, &r.WinRatePct, &r.ProfitFactor,
			&r.AnnualizedReturn, &r.TradesPerMonth, &r.AvgTradeDuration, &r.ExpectancyPerTrade, &r.CalmarRatio)
		rows = append(rows, jobstore.Clean(r))
		return err
	})
	return rows, err
}
