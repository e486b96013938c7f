package notify

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/telemetry"
)

// How a telling went.
const (
	outcomeSent = "sent"
	// outcomeAgain: sent, perhaps a second time, since an earlier attempt died
	// without a word.
	outcomeAgain  = "again"
	outcomeFailed = "failed"
)

func outcomeOf(c once.Claim) string {
	if c == once.Again {
		return outcomeAgain
	}
	return outcomeSent
}

// newCounter counts tellings. The step may scale to zero, and its counter starts
// anew then; what was told twice stands in the job's timeline as well.
func newCounter(reg prometheus.Registerer) *prometheus.CounterVec {
	return telemetry.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pipeline_notifications_total", Help: "Tellings of a channel: sent, again (perhaps the second time, after a crash), failed.",
	}, []string{"channel", "outcome"}))
}
