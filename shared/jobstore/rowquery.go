package jobstore

import "slices"

// MaxRows bounds one page of rows.
const MaxRows = 500

// RowColumns are what Rows can sort by, named as in the rows' JSON.
var RowColumns = []string{
	"score", "fast_period", "slow_period", "sharpe_ratio", "sortino_ratio", "total_return_pct",
	"max_drawdown_pct", "win_rate_pct", "profit_factor", "total_trades",
}

// RowQuery is one page of a job's rows.
type RowQuery struct {
	// By is one of RowColumns; anything else is score.
	By string
	// Ascending puts the least first. Rows that are equal come best score first.
	Ascending bool
	// Limit is 1 to MaxRows; DefaultLimit if 0.
	Limit int
	// Offset leaves out the first rows. A finished job's rows never change, so
	// that pages do not move.
	Offset int
}

// Orders of rows in SQL, the same in both databases. Each ends in the key of a
// job's rows, so that equals always come in the same order.
const (
	periods      = "fast_period, slow_period, coalesce(signal_period, -2147483648), strategy_type"
	byScoreSQL   = "-score, " + periods
	byPeriodsSQL = periods
)

// SQL is the order as an ORDER BY clause.
func (o Order) SQL() string {
	if o == ByPeriods {
		return byPeriodsSQL
	}
	return byScoreSQL
}

// OrderBy is the query's order in SQL, the same in both databases.
func (q RowQuery) OrderBy() string {
	by := "score"
	if slices.Contains(RowColumns, q.By) {
		by = q.By // one of the words above, so it may stand in SQL
	}
	switch {
	case by == "score" && !q.Ascending:
		return byScoreSQL // as Results sorts
	case q.Ascending:
		return by + ", " + byScoreSQL
	}
	return by + " desc, " + byScoreSQL
}

// Window is the limit and the offset of q, within their bounds.
func (q RowQuery) Window() (limit, offset int) {
	limit = DefaultLimit
	if q.Limit > 0 {
		limit = min(q.Limit, MaxRows)
	}
	return limit, max(q.Offset, 0)
}
