package jobstore

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/zixly/sweepline/shared/job"
)

// BestRows is how many rows a job shows.
const BestRows = 10

// Largest is the largest figure that is stored, in either direction: what
// numeric(20,6) holds, less what float64 cannot tell apart.
const Largest = 99_999_999_999_999

// Lengths, in bytes, that texts from outside are cut to.
const (
	longestName    = 64
	longestMessage = 2000
	longestSource  = 200
)

// Clean makes a row that both databases store and give back alike, whatever
// the trading API sent. Figures are rounded to six decimals (to 15 digits where
// that is fewer); those beyond ±Largest, infinity too, become ±Largest; what is
// not a number becomes 0, or is left out where the API may leave it out. Texts
// lose what is not valid UTF-8, NUL, and everything past 64 bytes.
func Clean(r job.Row) job.Row {
	for _, f := range []*float64{&r.Score, &r.SharpeRatio, &r.SortinoRatio, &r.TotalReturnPct, &r.MaxDrawdownPct, &r.WinRatePct, &r.ProfitFactor} {
		*f = Figure(*f)
	}
	for _, f := range []**float64{
		&r.AnnualizedReturn, &r.TradesPerMonth, &r.AvgTradeDuration, &r.ExpectancyPerTrade, &r.CalmarRatio, &r.NeighbourWorst, &r.NeighbourMedian,
	} {
		switch {
		case *f == nil:
		case math.IsNaN(**f):
			*f = nil
		default:
			v := Figure(**f) // the caller's number is not ours to change
			*f = &v
		}
	}
	r.Ticker = Text(r.Ticker, longestName)
	r.StrategyType = Text(r.StrategyType, longestName)
	r.ResultID = Text(r.ResultID, longestName)
	r.FastPeriod, r.SlowPeriod = whole(r.FastPeriod), whole(r.SlowPeriod)
	r.TotalTrades = whole(r.TotalTrades)
	if r.SignalPeriod != nil {
		v := whole(*r.SignalPeriod)
		r.SignalPeriod = &v
	}
	return r
}

// whole keeps n inside SQL's integer.
func whole(n int) int { return max(math.MinInt32, min(n, math.MaxInt32)) }

// Figure makes x storable as Clean does; what is not a number becomes 0.
func Figure(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return 0
	case math.Abs(x) >= Largest:
		return math.Copysign(Largest, x)
	case math.Abs(x) < 1e9:
		// Both are exact here: the product is below 2^53.
		return math.Round(x*1e6)/1e6 + 0 // + 0 turns -0 into 0
	}
	// PostgreSQL takes 15 digits of a float8.
	y, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 15, 64), 64)
	return y
}

// Message cuts an error message to what is kept of one.
func Message(s string) string { return Text(s, longestMessage) }

// Text makes s storable: valid UTF-8, no NUL, at most n bytes.
func Text(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

type rowKey struct {
	strategy           string
	fast, slow, signal int
}

func keyOf(r job.Row) rowKey {
	k := rowKey{strategy: r.StrategyType, fast: r.FastPeriod, slow: r.SlowPeriod, signal: math.MinInt}
	if r.SignalPeriod != nil {
		k.signal = *r.SignalPeriod
	}
	return k
}

// CleanData makes what is said of prices storable; nil stays nil.
func CleanData(d *job.Data) *job.Data {
	if d == nil {
		return nil
	}
	clean := job.Data{
		Source: Text(d.Source, longestSource), FirstDay: Text(d.FirstDay, longestName), LastDay: Text(d.LastDay, longestName),
		Bars: whole(max(d.Bars, 0)), Hash: Text(d.Hash, longestSource),
	}
	if d.BuyAndHoldPct != nil {
		held := Figure(*d.BuyAndHoldPct)
		clean.BuyAndHoldPct = &held
	}
	return &clean
}

// CleanAll cleans rows and keeps the first of each parameter set, best score
// first.
func CleanAll(rows []job.Row) []job.Row {
	seen := make(map[rowKey]struct{}, len(rows))
	out := make([]job.Row, 0, len(rows))
	for _, r := range rows {
		r = Clean(r)
		k := keyOf(r)
		if _, twice := seen[k]; twice {
			continue
		}
		seen[k] = struct{}{}
		out = append(out, r)
	}
	slices.SortStableFunc(out, better)
	return out
}

// better sorts by score downward, then by parameters, so that equals always
// come in the same order: that of Results by score.
func better(a, b job.Row) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.FastPeriod, b.FastPeriod),
		cmp.Compare(a.SlowPeriod, b.SlowPeriod), cmp.Compare(keyOf(a).signal, keyOf(b).signal),
		strings.Compare(a.StrategyType, b.StrategyType))
}

// Best returns the first ten of rows sorted by CleanAll; never nil.
func Best(rows []job.Row) []job.Row { return append([]job.Row{}, rows[:min(len(rows), BestRows)]...) }
