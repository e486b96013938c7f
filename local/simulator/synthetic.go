package simulator

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
)

// syntheticDays is ten years of trading days.
const syntheticDays = 10 * tradingDays

// synthesize makes the daily closes of a ticker that no price file knows: a
// geometric random walk whose drift changes every few months, so that following
// a trend has something to follow. The same ticker and seed always give the
// same series. It says nothing about the real instrument, and every answer that
// rests on it is marked synthetic.
func synthesize(ticker string, seed uint64) series {
	h := fnv.New64a()
	h.Write([]byte(strings.ToUpper(ticker)))
	rng := rand.New(rand.NewPCG(seed, h.Sum64()))

	volatility := 0.15 + 0.35*rng.Float64() // a year
	drift := 0.02 + 0.08*rng.Float64()      // a year, over all regimes
	daily := volatility / math.Sqrt(tradingDays)

	closes := make([]float64, syntheticDays)
	price := 20 + 180*rng.Float64()
	trend, left := 0.0, 0
	for i := range closes {
		if left == 0 {
			trend = rng.NormFloat64() * volatility
			left = 40 + rng.IntN(120)
		}
		left--
		price *= math.Exp((drift+trend-volatility*volatility/2)/tradingDays + daily*rng.NormFloat64())
		closes[i] = max(price, 0.01)
	}
	return series{ticker: ticker, source: "synthetic", synthetic: true, closes: closes, days: make([]string, len(closes))}
}
