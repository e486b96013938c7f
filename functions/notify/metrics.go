package notify

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/telemetry"
)

// Outcomes of a notification.
const (
	outcomeSent = "sent"
	// outcomeAgain: sent, possibly a second time, since an earlier attempt died
	// before it recorded its outcome.
	outcomeAgain = "again"
	// outcomeFailed: an attempt that sent nothing, as far as is known.
	outcomeFailed = "failed"
)

func outcomeOf(c once.Claim) string {
	if c == once.Again {
		return outcomeAgain
	}
	return outcomeSent
}

// newCounter counts notifications. The step may scale to zero, which resets its
// counter; repeats are in the job's timeline as well.
func newCounter(reg prometheus.Registerer) *prometheus.CounterVec {
	return telemetry.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pipeline_notifications_total", Help: "Notifications per channel: sent, again (possibly a repeat, after a crash), failed.",
	}, []string{"channel", "outcome"}))
}
