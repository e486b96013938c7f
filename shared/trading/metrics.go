package trading

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/shared/telemetry"
)

// WithMetrics times every call in pipeline_trading_api_latency_seconds, by
// endpoint (one of Endpoints).
func WithMetrics(reg prometheus.Registerer) Option {
	seconds := telemetry.Register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "pipeline_trading_api_latency_seconds", Help: "Time to an answer of the trading API.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"endpoint"}))
	return WithObserver(func(endpoint string, took time.Duration) { seconds.WithLabelValues(endpoint).Observe(took.Seconds()) })
}
