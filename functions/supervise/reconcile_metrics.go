package supervise

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/shared/telemetry"
)

// reconcileMetrics count what the reconciler found and did. Gaps that stay open
// are found in every round; they are repaired as often as something was done
// about them.
type reconcileMetrics struct {
	found    *prometheus.CounterVec
	repaired *prometheus.CounterVec
	rounds   *prometheus.CounterVec
	last     prometheus.Gauge
}

func newReconcileMetrics(reg prometheus.Registerer) *reconcileMetrics {
	m := &reconcileMetrics{
		found: telemetry.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pipeline_reconcile_found_total", Help: "Gaps between the store and the waits that were found, in each round anew.",
		}, []string{"kind"})),
		repaired: telemetry.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pipeline_reconcile_repaired_total", Help: "Records restored and events sent again.",
		}, []string{"kind"})),
		rounds: telemetry.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pipeline_reconcile_rounds_total", Help: "Comparisons of the store with the waits, by how they ended.",
		}, []string{"outcome"})),
		last: telemetry.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pipeline_reconcile_last_success_timestamp_seconds", Help: "When this process last compared the store with the waits.",
		})),
	}
	for _, kind := range []string{lostRecord, lostRequest, lostEnd, lostNotice} {
		m.found.WithLabelValues(kind)
		m.repaired.WithLabelValues(kind)
	}
	m.found.WithLabelValues(setAside)
	for _, outcome := range []string{"done", "failed"} {
		m.rounds.WithLabelValues(outcome)
	}
	return m
}

func roundOutcome(err error) string {
	if err != nil {
		return "failed"
	}
	return "done"
}
