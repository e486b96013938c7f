package simulator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/markcheno/go-talib"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// signalPeriod is the smoothing of the MACD signal line, the customary nine days.
const signalPeriod = 9

// warmup is how many days a series must have beyond the longest average.
const warmup = 30

// row is one combination's result as the API writes it.
type row struct {
	Ticker         string  `json:"ticker"`
	Strategy       string  `json:"strategy_type"`
	Fast           int     `json:"fast_period"`
	Slow           int     `json:"slow_period"`
	Signal         *int    `json:"signal_period,omitempty"`
	Score          float64 `json:"score"`
	Sharpe         float64 `json:"sharpe_ratio"`
	Sortino        float64 `json:"sortino_ratio"`
	TotalReturn    float64 `json:"total_return_pct"`
	AnnualReturn   float64 `json:"annualized_return"`
	MaxDrawdown    float64 `json:"max_drawdown_pct"`
	WinRate        float64 `json:"win_rate_pct"`
	ProfitFactor   float64 `json:"profit_factor"`
	Trades         int     `json:"total_trades"`
	TradesPerMonth float64 `json:"trades_per_month"`
	AvgDuration    float64 `json:"avg_trade_duration"`
	Expectancy     float64 `json:"expectancy_per_trade"`
	Calmar         float64 `json:"calmar_ratio"`
	ResultID       string  `json:"result_id,omitempty"`
}

// engine computes sweeps. All sweeps share its places on the CPU.
type engine struct {
	places  *semaphore.Weighted
	workers int
}

func newEngine(workers int) *engine {
	return &engine{places: semaphore.NewWeighted(int64(workers)), workers: workers}
}

// combinations is the number of valid pairs on the grid.
func (r request) combinations() int {
	n := 0
	for fast := range periods(r.FastRange, r.Step) {
		for slow := range periods(r.SlowRange, r.Step) {
			if fast < slow {
				n++
			}
		}
	}
	return n
}

// periods yields the grid's points, both ends included where the step meets them.
func periods(bounds [2]int, step int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for p := bounds[0]; p <= bounds[1]; p += step {
			if !yield(p) {
				return
			}
		}
	}
}

// compute backtests every pair of the grid, best score first. done counts the
// pairs as they are finished. The result depends on the request and the prices
// alone.
func (e *engine) compute(ctx context.Context, r request, s series, done *atomic.Int64) ([]row, error) {
	need := r.SlowRange[1] + warmup
	if len(s.closes) < need {
		return nil, fmt.Errorf("insufficient data for %s: %d daily closes, at least %d needed for a slow period of %d",
			r.Ticker, len(s.closes), need, r.SlowRange[1])
	}
	averages := r.averages(s.closes)
	returns := dailyReturns(s.closes)
	fasts := slices.Collect(periods(r.FastRange, r.Step))
	rows := make([][]row, len(fasts))

	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(e.workers)
	for i, fast := range fasts {
		g.Go(func() error {
			if err := e.places.Acquire(ctx, 1); err != nil {
				return fmt.Errorf("wait for a place to compute: %w", err)
			}
			defer e.places.Release(1)
			for slow := range periods(r.SlowRange, r.Step) {
				if fast < slow {
					rows[i] = append(rows[i], r.pair(s.closes, returns, averages, fast, slow))
					done.Add(1)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(rows...)
	sort.Slice(all, func(i, j int) bool {
		a, b := &all[i], &all[j]
		return cmp.Or(
			cmp.Compare(b.Score, a.Score), cmp.Compare(b.Sharpe, a.Sharpe),
			cmp.Compare(a.Fast, b.Fast), cmp.Compare(a.Slow, b.Slow)) < 0
	})
	return all, nil
}

// averages computes each moving average that the grid needs, once a period.
func (r request) averages(closes []float64) map[int][]float64 {
	average := talib.Ema
	if r.Strategy == strategySMA {
		average = talib.Sma
	}
	m := map[int][]float64{}
	for _, bounds := range [][2]int{r.FastRange, r.SlowRange} {
		for p := range periods(bounds, r.Step) {
			if _, ok := m[p]; !ok {
				m[p] = average(closes, p)
			}
		}
	}
	return m
}

// pair backtests one combination. SMA and EMA are long while the fast average
// stands above the slow one; MACD while their difference stands above its own
// nine-day average.
func (r request) pair(closes, returns []float64, averages map[int][]float64, fast, slow int) row {
	upper, lower, start := averages[fast], averages[slow], slow-1
	var signal *int
	if r.Strategy == strategyMACD {
		upper, lower = macd(upper, lower, start)
		start += signalPeriod - 1
		n := signalPeriod
		signal = &n
	}
	o := backtest(closes, returns, upper, lower, start)
	return row{
		Ticker: r.Ticker, Strategy: r.Strategy, Fast: fast, Slow: slow, Signal: signal,
		Score:  round6(o.score(r.MinTrades)),
		Sharpe: round6(o.sharpe), Sortino: round6(o.sortino), Calmar: round6(o.calmar),
		TotalReturn: round6(o.totalReturn), AnnualReturn: round6(o.annualReturn),
		MaxDrawdown: round6(o.maxDrawdown), WinRate: round6(o.winRate),
		ProfitFactor: round6(o.profitFactor), Trades: o.trades,
		TradesPerMonth: round6(o.tradesPerMonth), AvgDuration: round6(o.avgTradeLength),
		Expectancy: round6(o.expectancy),
	}
}

// macd is the difference of two averages, valid from day start, and its signal
// line, valid signalPeriod-1 days later.
func macd(fast, slow []float64, start int) (line, signal []float64) {
	line = make([]float64, len(fast))
	for i := start; i < len(line); i++ {
		line[i] = fast[i] - slow[i]
	}
	// The library averages from the first value on, so it must not see the days
	// before the line begins.
	signal = make([]float64, len(fast))
	copy(signal[start:], talib.Ema(line[start:], signalPeriod))
	return line, signal
}
