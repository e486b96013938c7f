package jobstore

import (
	"fmt"
	"slices"
	"strings"
)

// Sizes of a page of rows.
const (
	// MaxRows bounds one page.
	MaxRows = 10_000
	// MaxConditions bounds those of one query.
	MaxConditions = 16
)

// RowColumn is a figure of a row that rows are sorted and filtered by.
type RowColumn struct {
	// Name is the figure's in the rows' JSON and in SQL.
	Name string
	// Short is what people may say instead; it may be empty.
	Short string
	// LeastFirst: the row that one looks for first is the one with the least of it.
	LeastFirst bool
	// Whole: it is a whole number.
	Whole bool
}

// RowColumns are all of them. Their names stand in SQL as they are: the list is closed.
var RowColumns = []RowColumn{
	{Name: "score"},
	{Name: "fast_period", Short: "fast", LeastFirst: true, Whole: true},
	{Name: "slow_period", Short: "slow", LeastFirst: true, Whole: true},
	{Name: "signal_period", Short: "signal", LeastFirst: true, Whole: true},
	{Name: "sharpe_ratio", Short: "sharpe"},
	{Name: "sortino_ratio", Short: "sortino"},
	{Name: "calmar_ratio", Short: "calmar"},
	{Name: "total_return_pct", Short: "return"},
	{Name: "annualized_return", Short: "annualized"},
	{Name: "max_drawdown_pct", Short: "drawdown", LeastFirst: true},
	{Name: "win_rate_pct", Short: "win_rate"},
	{Name: "profit_factor"},
	{Name: "expectancy_per_trade", Short: "expectancy"},
	{Name: "total_trades", Short: "trades", Whole: true},
	{Name: "trades_per_month"},
	{Name: "avg_trade_duration"},
	{Name: "neighbour_worst", Short: "worst"},
	{Name: "neighbour_median", Short: "median"},
}

// RowColumnOf finds a column by its name or its short one.
func RowColumnOf(name string) (RowColumn, bool) {
	at := slices.IndexFunc(RowColumns, func(c RowColumn) bool { return name != "" && (c.Name == name || c.Short == name) })
	if at < 0 {
		return RowColumn{}, false
	}
	return RowColumns[at], true
}

// Operators are those of conditions, as people write them.
var Operators = []string{">=", "<=", "!=", "=", ">", "<"}

// Condition is one that rows must meet. A row without the figure meets none.
type Condition struct {
	// Column is the name of one of RowColumns.
	Column string
	// Operator is one of Operators.
	Operator string
	Value    float64
}

// RowQuery says which of a job's rows are read, and in what order. The zero value is all
// of them, best score first.
type RowQuery struct {
	// By is the name of one of RowColumns, or Periods; anything else is score.
	By string
	// Ascending puts the least first. Rows that are equal come best score first, those
	// without the figure last.
	Ascending bool
	// Limit is how many rows at most. Rows reads pages: of DefaultLimit if it is 0, of
	// MaxRows at most. Results reads all rows if it is 0.
	Limit int
	// Offset leaves out the first rows. A finished job's rows never change, so that
	// pages do not move.
	Offset int
	// Where are conditions that each row meets.
	Where []Condition
}

// Periods as RowQuery.By goes up by fast, then slow, then signal period.
const Periods = "periods"

// Usual orders of all rows.
var (
	// ByScore puts the best row first.
	ByScore = RowQuery{}
	// ByPeriods goes up by fast, then slow, then signal period.
	ByPeriods = RowQuery{By: Periods}
)

// Orders of rows in SQL, the same in both databases. Each ends in the key of a
// job's rows, so that equals always come in the same order.
const (
	byPeriodsSQL = "fast_period, slow_period, coalesce(signal_period, -2147483648), strategy_type"
	byScoreSQL   = "-score, " + byPeriodsSQL
)

// OrderBy is the query's order in SQL, the same in both databases.
func (q RowQuery) OrderBy() string {
	if q.By == Periods {
		return byPeriodsSQL
	}
	by := "score"
	if c, known := RowColumnOf(q.By); known {
		by = c.Name
	}
	switch {
	case by == "score" && !q.Ascending:
		return byScoreSQL
	case q.Ascending:
		return by + " nulls last, " + byScoreSQL
	}
	return by + " desc nulls last, " + byScoreSQL
}

// Narrow is what the query's conditions add to a "where" in SQL, and the values of their
// parameters, in order. placeholder names the next parameter.
func (q RowQuery) Narrow(placeholder func(n int) string) (sql string, args []any, err error) {
	var b strings.Builder
	for _, c := range q.Where {
		column, known := RowColumnOf(c.Column)
		if !known || !slices.Contains(Operators, c.Operator) {
			return "", nil, fmt.Errorf("no condition of rows: %q %q", c.Column, c.Operator)
		}
		operator := c.Operator
		if operator == "!=" {
			operator = "<>"
		}
		fmt.Fprintf(&b, " and %s %s %s", column.Name, operator, placeholder(len(args)))
		args = append(args, c.Value)
	}
	return b.String(), args, nil
}

// Window is the limit and the offset of a page, within their bounds.
func (q RowQuery) Window() (limit, offset int) {
	limit = DefaultLimit
	if q.Limit > 0 {
		limit = min(q.Limit, MaxRows)
	}
	return limit, max(q.Offset, 0)
}
