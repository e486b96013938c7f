package collect

import (
	"strings"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// admit decides on one row from outside. A row is dropped if it names another
// ticker or strategy than the sweep, a period outside 1–500, or fewer than no
// trades. A ticker or strategy that it leaves out is the sweep's. Figures are
// made storable by jobstore.Clean and drop no row.
func admit(r job.Row, s job.Sweep) (job.Row, bool) {
	if r.Ticker == "" {
		r.Ticker = s.Ticker
	}
	if r.StrategyType == "" {
		r.StrategyType = s.StrategyType
	}
	switch {
	case !strings.EqualFold(r.Ticker, s.Ticker), !strings.EqualFold(r.StrategyType, s.StrategyType):
		return r, false
	case !period(r.FastPeriod), !period(r.SlowPeriod), r.SignalPeriod != nil && !period(*r.SignalPeriod):
		return r, false
	case r.TotalTrades < 0:
		return r, false
	}
	// One spelling, so that one combination is one row.
	r.Ticker, r.StrategyType = s.Ticker, s.StrategyType
	return jobstore.Clean(r), true
}

func period(n int) bool { return n >= job.MinPeriod && n <= job.MaxPeriod }
