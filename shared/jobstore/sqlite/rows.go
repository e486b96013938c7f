package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// chunk is how many rows are read at a time.
const chunk = 5000

const rowColumns = `coalesce(result_id, ''), ticker, strategy_type, fast_period, slow_period, signal_period, total_trades,
    score, sharpe_ratio, sortino_ratio, total_return_pct, max_drawdown_pct, win_rate_pct, profit_factor,
    annualized_return, trades_per_month, avg_trade_duration, expectancy_per_trade, calmar_ratio,
    neighbour_worst, neighbour_median`

// Results yields the rows of a job; see jobstore.Store. The first chunk is read as
// Rows reads it, which is all of most sweeps. Of the others the keys are read first, in
// order, and then the rows by their keys: sorting once, whatever the order is.
func (l *Store) Results(ctx context.Context, tenant, id string, q jobstore.RowQuery) iter.Seq2[job.Row, error] {
	return func(yield func(job.Row, error) bool) {
		most := max(q.Limit, 0)
		first := chunk
		if most > 0 {
			first = min(most, chunk)
		}
		rows, err := l.page(ctx, tenant, id, q, first, q.Offset)
		var rest []int64
		if err == nil && len(rows) == chunk && most != chunk {
			rest, err = l.keys(ctx, tenant, id, q, max(most-chunk, 0), max(q.Offset, 0)+chunk)
		}
		for {
			if err != nil {
				yield(job.Row{}, fmt.Errorf("read rows of job %s: %w", id, err))
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
			if len(rest) == 0 {
				return
			}
			n := min(len(rest), chunk)
			rows, err = l.rowsOf(ctx, tenant, id, rest[:n])
			rest = rest[n:]
		}
	}
}

// keys reads the keys of rows in the order of q; all of them if limit is 0.
func (l *Store) keys(ctx context.Context, tenant, id string, q jobstore.RowQuery, limit, offset int) ([]int64, error) {
	query, args, err := selectRows("id", tenant, id, q)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = -1 // which is none
	}
	var keys []int64
	err = l.read(ctx, fmt.Sprintf("%s order by %s limit %d offset %d", query, q.OrderBy(), limit, offset), args, func(rs *sql.Rows) error {
		var k int64
		err := rs.Scan(&k)
		keys = append(keys, k)
		return err
	})
	return keys, err
}

// rowsOf reads the rows of keys, in their order.
func (l *Store) rowsOf(ctx context.Context, tenant, id string, keys []int64) ([]job.Row, error) {
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	// A cross join reads its sides in their order: rows by keys, not keys by rows.
	return l.rows(ctx, "select "+rowColumns+` from json_each(?) k cross join trading_sweep_results r
		where r.id = k.value and job_id = ? and tenant_id = ? order by k.key`, []any{string(list), id, tenant})
}

// selectRows is a query for columns of a job's rows that meet the conditions of q,
// without an order.
func selectRows(columns, tenant, id string, q jobstore.RowQuery) (query string, args []any, err error) {
	narrow, values, err := q.Narrow(func(int) string { return "?" })
	if err != nil {
		return "", nil, err
	}
	return "select " + columns + " from trading_sweep_results where job_id = ? and tenant_id = ?" + narrow, append([]any{id, tenant}, values...), nil
}

// page reads limit rows of q from offset on.
func (l *Store) page(ctx context.Context, tenant, id string, q jobstore.RowQuery, limit, offset int) ([]job.Row, error) {
	query, args, err := selectRows(rowColumns, tenant, id, q)
	if err != nil {
		return nil, err
	}
	return l.rows(ctx, fmt.Sprintf("%s order by %s limit %d offset %d", query, q.OrderBy(), limit, max(offset, 0)), args)
}

// Rows returns one page of a job's rows; see jobstore.Store.
func (l *Store) Rows(ctx context.Context, tenant, id string, q jobstore.RowQuery) ([]job.Row, error) {
	limit, offset := q.Window()
	rows, err := l.page(ctx, tenant, id, q, limit, offset)
	if err != nil {
		return nil, fmt.Errorf("read rows of job %s: %w", id, err)
	}
	return rows, nil
}

// CountRows counts a job's rows; see jobstore.Store.
func (l *Store) CountRows(ctx context.Context, tenant, id string, q jobstore.RowQuery) (n int, err error) {
	query, args, err := selectRows("count(*)", tenant, id, q)
	if err == nil {
		err = l.read(ctx, query, args, func(rs *sql.Rows) error { return rs.Scan(&n) })
	}
	if err != nil {
		return 0, fmt.Errorf("count rows of job %s: %w", id, err)
	}
	return n, nil
}

// rows runs a query for rowColumns.
func (l *Store) rows(ctx context.Context, query string, args []any) ([]job.Row, error) {
	rows := []job.Row{}
	err := l.read(ctx, query, args, func(rs *sql.Rows) error {
		var r job.Row
		err := rs.Scan(&r.ResultID, &r.Ticker, &r.StrategyType, &r.FastPeriod, &r.SlowPeriod, &r.SignalPeriod, &r.TotalTrades,
			&r.Score, &r.SharpeRatio, &r.SortinoRatio, &r.TotalReturnPct, &r.MaxDrawdownPct, &r.WinRatePct, &r.ProfitFactor,
			&r.AnnualizedReturn, &r.TradesPerMonth, &r.AvgTradeDuration, &r.ExpectancyPerTrade, &r.CalmarRatio,
			&r.NeighbourWorst, &r.NeighbourMedian)
		rows = append(rows, jobstore.Clean(r))
		return err
	})
	return rows, err
}
