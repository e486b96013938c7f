package postgres

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

// chunk is how many rows go into one statement, either way: a few hundred
// kilobytes at a time.
const chunk = 5000

// insertChunk takes columns as arrays. COPY would be faster but is refused on a
// table with row-level security.
const insertChunk = `
insert into trading_sweep_results (job_id, tenant_id, sweep_run_id, result_id, ticker, strategy_type,
    fast_period, slow_period, signal_period, total_trades,
    score, sharpe_ratio, sortino_ratio, total_return_pct, max_drawdown_pct, win_rate_pct, profit_factor,
    annualized_return, trades_per_month, avg_trade_duration, expectancy_per_trade, calmar_ratio)
select $1::uuid, $2, $3, r.*
from unnest($4::text[], $5::text[], $6::text[], $7::int[], $8::int[], $9::int[], $10::int[],
    $11::float8[], $12::float8[], $13::float8[], $14::float8[], $15::float8[], $16::float8[], $17::float8[],
    $18::float8[], $19::float8[], $20::float8[], $21::float8[], $22::float8[]) as r
on conflict on constraint trading_sweep_results_parameters do nothing`

// insertRows writes cleaned rows, chunk by chunk, in the caller's transaction.
func insertRows(ctx context.Context, tx pgx.Tx, j job.Job, rows []job.Row) error {
	for part := range slices.Chunk(rows, chunk) {
		args := append([]any{j.JobID, j.TenantID, j.SweepRunID}, transpose(part)...)
		if _, err := tx.Exec(ctx, insertChunk, args...); err != nil {
			return fmt.Errorf("insert rows: %w", err)
		}
	}
	return nil
}

// transpose turns rows into the columns of insertChunk.
func transpose(rows []job.Row) []any {
	return []any{
		column(rows, func(r job.Row) *string { return orNull(r.ResultID) }),
		column(rows, func(r job.Row) string { return r.Ticker }),
		column(rows, func(r job.Row) string { return r.StrategyType }),
		column(rows, func(r job.Row) int32 { return int32(r.FastPeriod) }),
		column(rows, func(r job.Row) int32 { return int32(r.SlowPeriod) }),
		column(rows, func(r job.Row) *int32 {
			if r.SignalPeriod == nil {
				return nil
			}
			v := int32(*r.SignalPeriod)
			return &v
		}),
		column(rows, func(r job.Row) int32 { return int32(r.TotalTrades) }),
		column(rows, func(r job.Row) float64 { return r.Score }),
		column(rows, func(r job.Row) float64 { return r.SharpeRatio }),
		column(rows, func(r job.Row) float64 { return r.SortinoRatio }),
		column(rows, func(r job.Row) float64 { return r.TotalReturnPct }),
		column(rows, func(r job.Row) float64 { return r.MaxDrawdownPct }),
		column(rows, func(r job.Row) float64 { return r.WinRatePct }),
		column(rows, func(r job.Row) float64 { return r.ProfitFactor }),
		column(rows, func(r job.Row) *float64 { return r.AnnualizedReturn }),
		column(rows, func(r job.Row) *float64 { return r.TradesPerMonth }),
		column(rows, func(r job.Row) *float64 { return r.AvgTradeDuration }),
		column(rows, func(r job.Row) *float64 { return r.ExpectancyPerTrade }),
		column(rows, func(r job.Row) *float64 { return r.CalmarRatio }),
	}
}

func column[T any](rows []job.Row, of func(job.Row) T) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = of(r)
	}
	return out
}

const rowColumns = `id, coalesce(result_id, ''), ticker, strategy_type, fast_period, slow_period, signal_period, total_trades,
    score::float8, sharpe_ratio::float8, sortino_ratio::float8, total_return_pct::float8, max_drawdown_pct::float8,
    win_rate_pct::float8, profit_factor::float8, annualized_return::float8, trades_per_month::float8,
    avg_trade_duration::float8, expectancy_per_trade::float8, calmar_ratio::float8`

// Results yields all rows of a job; see ledger.Ledger.
func (l *Ledger) Results(ctx context.Context, tenantID, id string, by ledger.Order) iter.Seq2[job.Row, error] {
	return func(yield func(job.Row, error) bool) {
		if !job.ValidID(id) {
			return
		}
		var after cursor
		for {
			rows, last, err := l.chunkOf(ctx, tenantID, id, by, after)
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

// cursor is the last row of the chunk before; rows have no cursor at the start.
type cursor struct {
	id  int64
	row job.Row
}

// noSignal sorts rows without a signal period first, as SQLite does.
const noSignal = -2147483648

func (l *Ledger) chunkOf(ctx context.Context, tenantID, id string, by ledger.Order, after cursor) ([]job.Row, cursor, error) {
	q := "select " + rowColumns + " from trading_sweep_results where job_id = $1::uuid and tenant_id = $2"
	args := []any{id, tenantID}
	if by == ledger.ByPeriods {
		if after.id != 0 {
			signal := noSignal
			if after.row.SignalPeriod != nil {
				signal = *after.row.SignalPeriod
			}
			q += " and (fast_period, slow_period, coalesce(signal_period, -2147483648), id) > ($3, $4, $5, $6)"
			args = append(args, after.row.FastPeriod, after.row.SlowPeriod, signal, after.id)
		}
		q += " order by fast_period, slow_period, coalesce(signal_period, -2147483648), id"
	} else {
		// Rows are inserted best first, so their ids go up where scores are equal.
		if after.id != 0 {
			q += " and (-score, id) > (-($3::float8::numeric(20,6)), $4)"
			args = append(args, after.row.Score, after.id)
		}
		q += " order by -score, id"
	}
	rows, last, err := l.rows(ctx, tenantID, fmt.Sprintf("%s limit %d", q, chunk), args)
	if len(rows) == 0 {
		last = after
	}
	return rows, last, err
}

// Rows returns one page of a job's rows; see ledger.Ledger.
func (l *Ledger) Rows(ctx context.Context, tenantID, id string, q ledger.RowQuery) ([]job.Row, error) {
	if !job.ValidID(id) {
		return []job.Row{}, nil
	}
	limit, offset := q.Window()
	rows, _, err := l.rows(ctx, tenantID, fmt.Sprintf("select %s from trading_sweep_results where job_id = $1::uuid and tenant_id = $2 order by %s limit %d offset %d",
		rowColumns, q.OrderBy(), limit, offset), []any{id, tenantID})
	if err != nil {
		return nil, fmt.Errorf("read rows of job %s: %w", id, err)
	}
	return rows, nil
}

// rows runs a query for rowColumns and says where its last row stands.
func (l *Ledger) rows(ctx context.Context, tenantID, query string, args []any) (rows []job.Row, last cursor, err error) {
	rows = []job.Row{}
	err = l.read(ctx, tenant(tenantID), query, args, func(rs pgx.Rows) error {
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
