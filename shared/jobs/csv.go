package jobs

import (
	"strconv"
	"strings"

	"github.com/zixly/sweepline/shared/job"
)

// resultColumns are the CSV's columns, named as in the JSON.
var resultColumns = []string{
	"ticker", "strategy_type", "fast_period", "slow_period", "signal_period", "score", "sharpe_ratio", "sortino_ratio",
	"total_return_pct", "annualized_return", "max_drawdown_pct", "win_rate_pct", "profit_factor", "total_trades",
	"trades_per_month", "avg_trade_duration", "expectancy_per_trade", "calmar_ratio", "result_id", "synthetic", "data_source", "data_hash",
	"neighbour_worst", "neighbour_median",
}

// provenance are columns of every row: what it was computed on. They are
// empty where the trading API does not say.
func provenance(j job.Job) []string {
	switch m := j.Metrics; {
	case m == nil:
		return []string{"", "", ""}
	case m.Data == nil:
		return []string{map[bool]string{true: "true"}[m.Synthetic], "", ""}
	default:
		return []string{strconv.FormatBool(m.Synthetic), csvText(m.Data.Source), csvText(m.Data.Hash)}
	}
}

func record(r job.Row, computedOn []string) []string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	maybe := func(f *float64) string {
		if f == nil {
			return ""
		}
		return number(*f)
	}
	signal := ""
	if r.SignalPeriod != nil {
		signal = strconv.Itoa(*r.SignalPeriod)
	}
	cells := append([]string{
		csvText(r.Ticker), csvText(r.StrategyType), strconv.Itoa(r.FastPeriod), strconv.Itoa(r.SlowPeriod), signal, number(r.Score),
		number(r.SharpeRatio), number(r.SortinoRatio), number(r.TotalReturnPct), maybe(r.AnnualizedReturn),
		number(r.MaxDrawdownPct), number(r.WinRatePct), number(r.ProfitFactor), strconv.Itoa(r.TotalTrades),
		maybe(r.TradesPerMonth), maybe(r.AvgTradeDuration), maybe(r.ExpectancyPerTrade), maybe(r.CalmarRatio), csvText(r.ResultID),
	}, computedOn...)
	return append(cells, maybe(r.NeighbourWorst), maybe(r.NeighbourMedian))
}

// csvText is a text that no spreadsheet takes for a formula.
// Rule: OWASP, "CSV Injection".
func csvText(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
