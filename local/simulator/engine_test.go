package simulator

import (
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBacktestByHand(t *testing.T) {
	t.Parallel()
	// In from day 1 to day 3 (10→12, +20 %), and from day 4 to the end (11→9.9, -10 %).
	closes := []float64{9, 10, 11, 12, 11, 9.9}
	upper := []float64{0, 1, 1, 0, 1, 1}
	lower := make([]float64, len(closes))
	o := backtest(closes, dailyReturns(closes), upper, lower, 1)

	require.Equal(t, 2, o.trades)
	require.InDelta(t, 8.0, o.totalReturn, 1e-9)
	require.InDelta(t, 10.0, o.maxDrawdown, 1e-9)
	require.InDelta(t, 50.0, o.winRate, 1e-9)
	require.InDelta(t, 2.0, o.profitFactor, 1e-9)
	require.InDelta(t, 5.0, o.expectancy, 1e-9)
	require.InDelta(t, 1.5, o.avgTradeLength, 1e-9)
	require.InDelta(t, 2/(5.0/21), o.tradesPerMonth, 1e-9)
	require.InDelta(t, 100*(math.Pow(1.08, 252.0/5)-1), o.annualReturn, 1e-6)

	daily := []float64{0, 0.1, 12.0/11 - 1, 0, -0.1} // days 1 to 5, zero out of the market
	var sum, squares float64
	for _, r := range daily {
		sum += r
	}
	mean := sum / 5
	for _, r := range daily {
		squares += (r - mean) * (r - mean)
	}
	require.InDelta(t, mean/math.Sqrt(squares/4)*math.Sqrt(252), o.sharpe, 1e-9)
	require.InDelta(t, mean/math.Sqrt(0.01/5)*math.Sqrt(252), o.sortino, 1e-9)
}

func TestBacktestNeverEarnsTheSignalsOwnDay(t *testing.T) {
	t.Parallel()
	// The signal shows on the day of the jump: the jump itself is not earned.
	closes := []float64{10, 10, 20, 20, 20}
	upper := []float64{0, 0, 1, 1, 1}
	o := backtest(closes, dailyReturns(closes), upper, make([]float64, 5), 0)
	require.Zero(t, o.totalReturn)
	require.Equal(t, 1, o.trades)
}

func TestFiguresStayFiniteAtTheEdges(t *testing.T) {
	t.Parallel()
	rising, flat := make([]float64, 300), make([]float64, 300)
	for i := range rising {
		rising[i], flat[i] = 100*math.Pow(1.01, float64(i)), 100
	}
	r := request{Ticker: "DAX", FastRange: [2]int{2, 5}, SlowRange: [2]int{10, 20}, Step: 1, MinTrades: 10, Strategy: strategySMA}

	rows, err := newEngine(1).compute(t.Context(), r, series{closes: rising}, new(atomic.Int64))
	require.NoError(t, err)
	require.Equal(t, float64(maxRatio), rows[0].ProfitFactor, "a gain without a loss")
	require.Equal(t, float64(maxRatio), rows[0].Sortino)
	require.Equal(t, float64(maxRatio), rows[0].Calmar)
	require.Positive(t, rows[0].Score)

	rows, err = newEngine(1).compute(t.Context(), r, series{closes: flat}, new(atomic.Int64))
	require.NoError(t, err)
	for _, row := range rows {
		require.Zero(t, row.Sharpe)
		require.Zero(t, row.Sortino)
		require.Zero(t, row.Score)
		require.Zero(t, row.Trades)
	}
	require.Zero(t, round6(math.NaN()))
	require.Zero(t, round6(math.Inf(1)))
	require.InDelta(t, 1.234568, round6(1.2345678), 1e-12)
}

func TestScoreShrinksBelowMinTrades(t *testing.T) {
	t.Parallel()
	o := outcome{sharpe: 1, sortino: 1.5, calmar: 1, profitFactor: 2, trades: 5}
	require.InDelta(t, o.score(5)/10, o.score(50), 1e-9)
	require.InDelta(t, o.score(0), o.score(5), 1e-9)
	require.Less(t, o.score(0), 100.0)
}

// The averages are checked against their definition, not against the library.
func TestPairMatchesADirectComputation(t *testing.T) {
	t.Parallel()
	s, err := loadSeries("", "DAX", 1)
	require.NoError(t, err)
	mean := func(day, n int) float64 {
		var sum float64
		for _, c := range s.closes[day-n+1 : day+1] {
			sum += c
		}
		return sum / float64(n)
	}
	const fast, slow = 10, 50
	equity, trades, long := 1.0, 0, false
	for day := slow - 1; day < len(s.closes)-1; day++ {
		if mean(day, fast) <= mean(day, slow) {
			long = false
			continue
		}
		if !long {
			trades++
			long = true
		}
		equity *= s.closes[day+1] / s.closes[day]
	}
	r := request{Ticker: "DAX", FastRange: [2]int{fast, fast}, SlowRange: [2]int{slow, slow}, Step: 1, MinTrades: 10, Strategy: strategySMA}
	rows, err := newEngine(1).compute(t.Context(), r, s, new(atomic.Int64))
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.InDelta(t, 100*(equity-1), rows[0].TotalReturn, 1e-4)
	require.Equal(t, trades, rows[0].Trades)
}

func TestGridHasEveryValidPairOnce(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{strategySMA, strategyEMA, strategyMACD} {
		r := request{Ticker: "SMI", FastRange: [2]int{5, 40}, SlowRange: [2]int{10, 90}, Step: 5, MinTrades: 10, Strategy: strategy}
		s, err := loadSeries("", r.Ticker, 1)
		require.NoError(t, err)
		var done atomic.Int64
		rows, err := newEngine(2).compute(t.Context(), r, s, &done)
		require.NoError(t, err)
		seen := map[[2]int]bool{}
		for i, row := range rows {
			require.Less(t, row.Fast, row.Slow)
			require.False(t, seen[[2]int{row.Fast, row.Slow}])
			seen[[2]int{row.Fast, row.Slow}] = true
			require.Equal(t, strategy == strategyMACD, row.Signal != nil)
			require.True(t, row.MaxDrawdown >= 0 && row.MaxDrawdown <= 100)
			require.True(t, row.WinRate >= 0 && row.WinRate <= 100)
			if i > 0 {
				require.LessOrEqual(t, row.Score, rows[i-1].Score)
			}
		}
		require.Len(t, rows, r.combinations())
		require.EqualValues(t, len(rows), done.Load())

		again, err := newEngine(1).compute(t.Context(), r, s, new(atomic.Int64))
		require.NoError(t, err)
		require.Equal(t, rows, again, "the same request gives the same rows")
	}
}

func TestTooLittleData(t *testing.T) {
	t.Parallel()
	r := request{Ticker: "TINY", FastRange: [2]int{5, 10}, SlowRange: [2]int{20, 200}, Step: 5, MinTrades: 10, Strategy: strategySMA}
	_, err := newEngine(1).compute(t.Context(), r, series{closes: make([]float64, 229)}, new(atomic.Int64))
	require.ErrorContains(t, err, "insufficient data for TINY: 229 daily closes, at least 230 needed")
}

func TestSyntheticIsSteadyAndFinite(t *testing.T) {
	t.Parallel()
	a, b := synthesize("BTC-USD", 1), synthesize("btc-usd", 1)
	require.Equal(t, a.closes, b.closes)
	require.True(t, a.synthetic)
	require.NotEqual(t, a.closes, synthesize("AAPL", 1).closes)
	require.NotEqual(t, a.closes, synthesize("BTC-USD", 2).closes)
	for _, ticker := range strings.Fields("AAPL MSFT TSLA ETH-USD EURUSD=X ^GSPC NVDA") {
		for _, c := range synthesize(ticker, 1).closes {
			require.True(t, c >= 0.01 && c < 1e9, "%s: %v", ticker, c)
		}
	}
}

// The size that the design aims at: about 9,000 pairs over 1,860 days.
func BenchmarkSweep(b *testing.B) {
	for _, strategy := range []string{strategySMA, strategyEMA, strategyMACD} {
		b.Run(strategy, func(b *testing.B) {
			s, err := loadSeries("", "DAX", 1)
			require.NoError(b, err)
			r := request{Ticker: "DAX", FastRange: [2]int{5, 54}, SlowRange: [2]int{55, 234}, Step: 1, MinTrades: 10, Strategy: strategy}
			require.Equal(b, 9000, r.combinations())
			e := newEngine(1)
			for b.Loop() {
				_, err := e.compute(b.Context(), r, s, new(atomic.Int64))
				require.NoError(b, err)
			}
		})
	}
}

// The largest sweep that the API takes.
func BenchmarkLargestSweep(b *testing.B) {
	s, err := loadSeries("", "DAX", 1)
	require.NoError(b, err)
	r := request{Ticker: "DAX", FastRange: [2]int{1, 499}, SlowRange: [2]int{2, 500}, Step: 1, MinTrades: 10, Strategy: strategyMACD}
	e := newEngine(1)
	for b.Loop() {
		rows, err := e.compute(b.Context(), r, s, new(atomic.Int64))
		require.NoError(b, err)
		require.Len(b, rows, 124_750)
	}
}
