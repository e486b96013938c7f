package simulator

import "math"

const (
	// tradingDays is the days of a year, for annualised figures.
	tradingDays = 252
	// tradingDaysMonth is the days of a month, for trades_per_month.
	tradingDaysMonth = 21
	// maxRatio stands for a ratio whose denominator is zero while there is a
	// gain: JSON and SQL know no infinity. Without a gain such a ratio is 0.
	maxRatio = 100
)

// outcome is what one parameter pair would have earned. Percentages are in
// percent (12.5 means 12.5 %), the drawdown as a positive number.
type outcome struct {
	sharpe, sortino, calmar        float64
	totalReturn, annualReturn      float64
	maxDrawdown                    float64
	winRate, profitFactor          float64
	expectancy                     float64 // percent a trade
	trades                         int
	tradesPerMonth, avgTradeLength float64 // length in trading days
}

// dailyReturns are the simple returns; the first day has none.
func dailyReturns(closes []float64) []float64 {
	r := make([]float64, len(closes))
	for i := 1; i < len(closes); i++ {
		r[i] = closes[i]/closes[i-1] - 1
	}
	return r
}

// backtest holds one unit long from each close at which upper stands above
// lower until the next close at which it does not: the signal of a day earns
// the next day's return, never its own. Before day start there is no signal. A
// position open at the end is closed at the last price. There are no costs, no
// leverage and no short sales; cash earns nothing. The ratios are taken over all
// days of the series, with zero on the days out of the market, so that pairs
// with different warm-up can be compared; the risk-free rate is zero.
func backtest(closes, returns, upper, lower []float64, start int) outcome {
	var (
		sum, squares, down float64
		equity, peak       = 1.0, 1.0
		drawdown           float64
		book               tradeBook
		entry              = -1
		last               = len(closes) - 1
	)
	for i := start; i < last; i++ {
		if upper[i] <= lower[i] {
			if entry >= 0 {
				book.add(closes[i]/closes[entry]-1, i-entry)
				entry = -1
			}
			continue
		}
		if entry < 0 {
			entry = i
		}
		r := returns[i+1]
		sum += r
		squares += r * r
		equity *= 1 + r
		if r < 0 {
			down += r * r
			drawdown = max(drawdown, 1-equity/peak)
		} else {
			peak = max(peak, equity)
		}
	}
	if entry >= 0 {
		book.add(closes[last]/closes[entry]-1, last-entry)
	}

	days := float64(last)
	mean := sum / days
	var variance float64
	if last > 1 {
		variance = max(0, (squares-days*mean*mean)/(days-1))
	}
	year := math.Sqrt(tradingDays)
	o := outcome{
		sharpe:       ratio(mean*year, math.Sqrt(variance)),
		sortino:      ratio(mean*year, math.Sqrt(down/days)),
		totalReturn:  100 * (equity - 1),
		annualReturn: 100 * (math.Pow(equity, tradingDays/days) - 1),
		maxDrawdown:  100 * drawdown,
	}
	o.calmar = ratio(o.annualReturn, o.maxDrawdown)
	book.fill(&o, days)
	return o
}

// tradeBook sums up closed trades.
type tradeBook struct {
	trades, wins, days int
	gain, loss         float64
}

func (b *tradeBook) add(result float64, days int) {
	b.trades++
	b.days += days
	if result > 0 {
		b.wins++
		b.gain += result
	} else {
		b.loss -= result
	}
}

func (b *tradeBook) fill(o *outcome, days float64) {
	if b.trades == 0 {
		return
	}
	n := float64(b.trades)
	o.trades = b.trades
	o.winRate = 100 * float64(b.wins) / n
	o.profitFactor = ratio(b.gain, b.loss)
	o.expectancy = 100 * (b.gain - b.loss) / n
	o.tradesPerMonth = n / (days / tradingDaysMonth)
	o.avgTradeLength = float64(b.days) / n
}

// ratio is a/b within ±maxRatio; with b zero it is maxRatio for a gain, else 0.
func ratio(a, b float64) float64 {
	if b == 0 {
		if a > 0 {
			return maxRatio
		}
		return 0
	}
	return min(max(a/b, -maxRatio), maxRatio)
}

// score puts the pairs in order: 0–100, weighing Sharpe (35 %), Sortino (25 %),
// Calmar (20 %) and profit factor (20 %), each pressed into 0–1 so that no
// single figure decides. A pair with fewer trades than minTrades stays in the
// results, but its score shrinks in proportion: five trades against fifty asked
// for leave a tenth of it.
func (o outcome) score(minTrades int) float64 {
	press := func(x float64) float64 { return math.Tanh(max(0, x)) }
	s := 0.35*press(o.sharpe/1.5) + 0.25*press(o.sortino/2) +
		0.20*press(o.calmar) + 0.20*press((o.profitFactor-1)/2)
	if minTrades > 0 && o.trades < minTrades {
		s *= float64(o.trades) / float64(minTrades)
	}
	return 100 * s
}

// round6 rounds to the six decimals that the job store keeps; what is not finite
// becomes 0, as JSON has no word for it.
func round6(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	if r := math.Round(x*1e6) / 1e6; !math.IsInf(r, 0) {
		return r
	}
	return x
}
