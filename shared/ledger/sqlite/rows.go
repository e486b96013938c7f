package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

// chunk is how many rows are read at a time.
const chunk = 5000

const rowColumns = `id, coalesce(result_id, ''), ticker, strategy_type, fast_period, slow_period, signal_period, total_trades,
    score, sharpe_ratio, sortino_ratio, total_return_pct, max_drawdown_pct, win_rate_pct, profit_factor,
    annualized_return, trades_per_month, avg_trade_duration, expectancy_per_trade, calmar_ratio`

// Results yields all rows of a job; see ledger.Ledger.
func (l *Ledger) Results(ctx context.Context, tenant, id string, by ledger.Order) iter.Seq2[job.Row, error] {
	return func(yield func(job.Row, error) bool) {
		var after cursor
		for {
			rows, last, err := l.chunkOf(ctx, tenant, id, by, after)
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
			after = last
		}
	}
}

// cursor is the last row of the chunk before; no id is the start.
type cursor struct {
	id  int64
	row job.Row
}

// noSignal sorts rows without a signal period before all others.
const noSignal = -1 << 31

func (l *Ledger) chunkOf(ctx context.Context, tenant, id string, by ledger.Order, after cursor) ([]job.Row, cursor, error) {
	q := "select " + rowColumns + " from trading_sweep_results where job_id = ? and tenant_id = ?"
	args := []any{id, tenant}
	if by == ledger.ByPeriods {
		if after.id != 0 {
			signal := noSignal
			if after.row.SignalPeriod != nil {
				signal = *after.row.SignalPeriod
			}
			q += " and (fast_period, slow_period, coalesce(signal_period, -2147483648), id) > (?, ?, ?, ?)"
			args = append(args, after.row.FastPeriod, after.row.SlowPeriod, signal, after.id)
		}
		q += " order by fast_period, slow_period, coalesce(signal_period, -2147483648), id"
	} else {
		// Rows are inserted best first, so their ids go up where scores are equal.
		if after.id != 0 {
			q += " and (-score, id) > (?, ?)"
			args = append(args, -after.row.Score, after.id)
		}
		q += " order by -score, id"
	}
	rows, last, err := l.rows(ctx, fmt.Sprintf("%s limit %d", q, chunk), args)
	if len(rows) == 0 {
		last = after
	}
	return rows, last, err
}

// Rows returns one page of a job's rows; see ledger.Ledger.
func (l *Ledger) Rows(ctx context.Context, tenant, id string, q ledger.RowQuery) ([]job.Row, error) {
	limit, offset := q.Window()
	rows, _, err := l.rows(ctx, fmt.Sprintf("select %s from trading_sweep_results where job_id = ? and tenant_id = ? order by %s limit %d offset %d",
		rowColumns, q.OrderBy(), limit, offset), []any{id, tenant})
	if err != nil {
		return nil, fmt.Errorf("read rows of job %s: %w", id, err)
	}
	return rows, nil
}

// rows runs a query for rowColumns and says where its last row stands.
func (l *Ledger) rows(ctx context.Context, query string, args []any) (rows []job.Row, last cursor, err error) {
	rows = []job.Row{}
	err = l.read(ctx, query, args, func(rs *sql.Rows) error {
		var r job.Row
		err := rs.Scan(&last.id, &r.ResultID, &r.Ticker, &r.StrategyType, &r.FastPeriod, &r.SlowPeriod, &r.SignalPeriod, &r.TotalTrades,
			&r.Score, &r.SharpeRatio, &r.SortinoRatio, &r.TotalReturnPct, &r.MaxDrawdownPct, &r.WinRatePct, &r.ProfitFactor,
			&r.AnnualizedReturn, &r.TradesPerMonth, &r.AvgTradeDuration, &r.ExpectancyPerTrade, &r.CalmarRatio)
		rows = append(rows, r)
		last.row = r
		return err
	})
	return rows, last, err
}
