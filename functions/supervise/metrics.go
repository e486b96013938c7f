package supervise

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

// remembered is how many events a process knows again, so that one delivered
// twice is counted once.
const remembered = 1 << 14

// metrics are the job metrics. The counters stand here, and not in the steps,
// because those may scale to zero and take their counts along. The gauges say
// the same in every replica.
type metrics struct {
	queued    *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	processed *prometheus.CounterVec
	results   *prometheus.CounterVec
	best      *prometheus.GaugeVec
	waiting   prometheus.Gauge
	parked    prometheus.Gauge
	overdue   prometheus.Gauge
	apiUp     prometheus.Gauge

	mu    sync.Mutex
	seen  map[string]struct{}
	order []string // ring of what is in seen
	next  int
	// tickers and tenants are those that have a series of their own.
	tickers, tenants map[string]bool
}

// other is the series of all tickers and tenants after the first maxSeries, of those
// that can be none, and of types and states that there are not: what people send must
// not grow the metrics without end.
const (
	maxSeries     = 50
	longestTenant = 64
	other         = "other"
)

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		queued: telemetry.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pipeline_jobs_queued_total", Help: "Jobs accepted.",
		}, []string{"job_type", "tenant_id"})),
		duration: telemetry.Register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pipeline_job_duration_seconds", Help: "Time from a job's webhook to its end.",
			Buckets: []float64{1, 5, 15, 30, 60, 300, 600, 1800, 3600},
		}, []string{"job_type", "status"})),
		processed: telemetry.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pipeline_jobs_processed_total", Help: "Jobs that have ended.",
		}, []string{"job_type", "status"})),
		waiting: telemetry.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pipeline_jobs_waiting", Help: "Jobs whose sweep is at the trading API, or about to be.",
		})),
		parked: telemetry.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pipeline_jobs_parked", Help: "Jobs in the queue for a slot.",
		})),
		results: telemetry.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pipeline_results_total", Help: "Result rows stored.",
		}, []string{"ticker"})),
		best: telemetry.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pipeline_best_score", Help: "Best score of a ticker's latest sweep.",
		}, []string{"ticker"})),
		overdue: telemetry.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pipeline_jobs_overdue", Help: "Jobs whose wait should have been looked at two minutes ago.",
		})),
		apiUp: telemetry.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pipeline_trading_api_up", Help: "1 while the trading API answers, 0 from a call that it left unanswered.",
		})),
		seen:    map[string]struct{}{},
		order:   make([]string, remembered),
		tickers: map[string]bool{},
		tenants: map[string]bool{},
	}
	for _, status := range []string{"completed", "failed"} { // a rate needs the 0 before the first
		m.processed.WithLabelValues(job.Type, status)
	}
	return m
}

// count takes an event in. Types that say nothing about a job's way are taken
// and not counted.
func (m *metrics) count(e cloudevents.Event) error {
	switch e.Type() {
	case event.SweepRequested:
		d, err := event.Data[event.Requested](e)
		if err != nil {
			return cehttp.NewResult(http.StatusUnprocessableEntity, "%w", err)
		}
		if m.first(e) {
			m.queued.WithLabelValues(typeLabel(d.JobType), m.tenant(d.TenantID)).Inc()
		}
	case event.JobCompleted, event.JobFailed:
		d, err := event.Data[event.Finished](e)
		if err != nil {
			return cehttp.NewResult(http.StatusUnprocessableEntity, "%w", err)
		}
		if !m.first(e) {
			return nil
		}
		jobType, status := typeLabel(d.Job.JobType), statusLabel(d.Job.Status)
		m.processed.WithLabelValues(jobType, status).Inc()
		if d.Job.DurationSeconds != nil {
			m.duration.WithLabelValues(jobType, status).Observe(*d.Job.DurationSeconds)
		}
		if d.Job.Status == job.Completed && d.Job.Metrics != nil {
			ticker := m.ticker(d.Job.Ticker)
			m.results.WithLabelValues(ticker).Add(float64(max(d.Job.Metrics.Combinations, 0)))
			m.best.WithLabelValues(ticker).Set(d.Job.Metrics.BestScore)
		}
	}
	return nil
}

func typeLabel(t string) string {
	if t != job.Type {
		return other
	}
	return t
}

func statusLabel(s job.State) string {
	if !s.Terminal() {
		return other
	}
	return strings.ToLower(string(s))
}

// ticker is the label of a ticker.
func (m *metrics) ticker(name string) string {
	return m.among(m.tickers, strings.ToUpper(name), job.ValidTicker(name))
}

func (m *metrics) tenant(name string) string {
	return m.among(m.tenants, name, name != "" && len(name) <= longestTenant && utf8.ValidString(name))
}

// among is a label that is one of few.
func (m *metrics) among(known map[string]bool, name string, valid bool) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !valid || !known[name] && len(known) >= maxSeries {
		return other
	}
	known[name] = true
	return name
}

func (m *metrics) first(e cloudevents.Event) bool {
	id, _ := event.Original(e.ID()) // one that is sent again is the same
	key := e.Source() + " " + id
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.seen[key]; ok {
		return false
	}
	delete(m.seen, m.order[m.next])
	m.order[m.next] = key
	m.next = (m.next + 1) % remembered
	m.seen[key] = struct{}{}
	return true
}

func (m *metrics) gauge(ctx context.Context, waits *wait.Waits) error {
	c, err := waits.Count(ctx)
	if err != nil {
		return err
	}
	m.waiting.Set(float64(c.Waiting))
	m.parked.Set(float64(c.Parked))
	m.overdue.Set(float64(c.Overdue))
	up := 1.0
	if c.APIFailures > 0 {
		up = 0
	}
	m.apiUp.Set(up)
	return nil
}
