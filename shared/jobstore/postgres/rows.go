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
    avg_trade_duration::float8, expectancy_per_trade::float8, calmar_ratio::float8, neighbour_worst::float8, neighbour_median::float8`

// Results yields the rows of a job; see jobstore.Store. The first chunk is read as
// Rows reads it, which is all of most sweeps. Of the others the keys are read first, in
// order, and then the rows by their keys: sorting once, whatever the order is.
func (l *Store) Results(ctx context.Context, tenantID, id string, q jobstore.RowQuery) iter.Seq2[job.Row, error] {
	return func(yield func(job.Row, error) bool) {
		if !job.ValidID(id) {
			return
		}
		most := max(q.Limit, 0)
		first := chunk
		if most > 0 {
			first = min(most, chunk)
		}
		rows, err := l.page(ctx, tenantID, id, q, first, q.Offset)
		var rest []rowKey
		if err == nil && len(rows) == chunk && most != chunk {
			rest, err = l.keys(ctx, tenantID, id, q, max(most-chunk, 0), max(q.Offset, 0)+chunk)
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
			rows, err = l.rowsOf(ctx, tenantID, id, rest[:n])
			rest = rest[n:]
		}
	}
}

// rowKey tells a row of a job from the others. There may be very many.
type rowKey struct {
	strategy   string
	fast, slow int32
	signal     *int32
}

// keys reads the keys of rows in the order of q; all of them if limit is 0.
func (l *Store) keys(ctx context.Context, tenantID, id string, q jobstore.RowQuery, limit, offset int) ([]rowKey, error) {
	query, args, err := selectRows("strategy_type, fast_period, slow_period, signal_period", tenantID, id, q)
	if err != nil {
		return nil, err
	}
	query += " order by " + q.OrderBy()
	if limit > 0 {
		query += fmt.Sprintf(" limit %d", limit)
	}
	var keys []rowKey
	strategies := map[string]string{} // each once: a sweep has one
	err = l.read(ctx, l.tenant(tenantID), fmt.Sprintf("%s offset %d", query, offset), args, func(rs pgx.Rows) error {
		var k rowKey
		err := rs.Scan(&k.strategy, &k.fast, &k.slow, &k.signal)
		if known, ok := strategies[k.strategy]; ok {
			k.strategy = known
		} else {
			strategies[k.strategy] = k.strategy
		}
		keys = append(keys, k)
		return err
	})
	return keys, err
}

// rowsOf reads the rows of keys, in their order.
func (l *Store) rowsOf(ctx context.Context, tenantID, id string, keys []rowKey) ([]job.Row, error) {
	// "offset 0" leaves no choice but to look each row up by its key: a join looks better
	// to the planner, and reads and sorts all rows of the job for each chunk.
	return l.rows(ctx, tenantID, `select r.* from unnest($3::text[], $4::int[], $5::int[], $6::int[]) with ordinality as k (strategy, fast, slow, signal, n)
		cross join lateral (select `+rowColumns+` from trading_sweep_results
			where job_id = $1 and tenant_id = $2 and strategy_type = k.strategy and fast_period = k.fast and slow_period = k.slow
				and signal_period is not distinct from k.signal
			offset 0) r
		order by k.n`, []any{
		id, tenantID,
		each(keys, func(k rowKey) string { return k.strategy }),
		each(keys, func(k rowKey) int32 { return k.fast }),
		each(keys, func(k rowKey) int32 { return k.slow }),
		each(keys, func(k rowKey) *int32 { return k.signal }),
	})
}

// selectRows is a query for columns of a job's rows that meet the conditions of q,
// without an order.
func selectRows(columns, tenantID, id string, q jobstore.RowQuery) (query string, args []any, err error) {
	narrow, values, err := q.Narrow(func(n int) string { return fmt.Sprintf("$%d::float8", n+3) })
	if err != nil {
		return "", nil, err
	}
	return "select " + columns + " from trading_sweep_results where job_id = $1 and tenant_id = $2" + narrow, append([]any{id, tenantID}, values...), nil
}

// page reads limit rows of q from offset on.
func (l *Store) page(ctx context.Context, tenantID, id string, q jobstore.RowQuery, limit, offset int) ([]job.Row, error) {
	query, args, err := selectRows(rowColumns, tenantID, id, q)
	if err != nil {
		return nil, err
	}
	return l.rows(ctx, tenantID, fmt.Sprintf("%s order by %s limit %d offset %d", query, q.OrderBy(), limit, max(offset, 0)), args)
}

// Rows returns one page of a job's rows; see jobstore.Store.
func (l *Store) Rows(ctx context.Context, tenantID, id string, q jobstore.RowQuery) ([]job.Row, error) {
	if !job.ValidID(id) {
		return []job.Row{}, nil
	}
	limit, offset := q.Window()
	rows, err := l.page(ctx, tenantID, id, q, limit, offset)
	if err != nil {
		return nil, fmt.Errorf("read rows of job %s: %w", id, err)
	}
	return rows, nil
}

// CountRows counts a job's rows; see jobstore.Store.
func (l *Store) CountRows(ctx context.Context, tenantID, id string, q jobstore.RowQuery) (n int, err error) {
	if !job.ValidID(id) {
		return 0, nil
	}
	query, args, err := selectRows("count(*)", tenantID, id, q)
	if err == nil {
		err = l.read(ctx, l.tenant(tenantID), query, args, func(rs pgx.Rows) error { return rs.Scan(&n) })
	}
	if err != nil {
		return 0, fmt.Errorf("count rows of job %s: %w", id, err)
	}
	return n, nil
}

// rows runs a query for rowColumns. Figures that JSON has no word for, which
// numeric columns can hold, are read as Clean would have stored them.
func (l *Store) rows(ctx context.Context, tenantID, query string, args []any) ([]job.Row, error) {
	rows := []job.Row{}
	err := l.read(ctx, l.tenant(tenantID), query, args, func(rs pgx.Rows) error {
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
