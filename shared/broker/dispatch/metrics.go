package dispatch

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count deliveries, by Trigger.
type Metrics struct {
	dispatched *prometheus.CounterVec
	attempts   *prometheus.CounterVec
	dead       *prometheus.CounterVec
	skipped    *prometheus.CounterVec
	claimed    *prometheus.CounterVec
	looped     *prometheus.CounterVec
	delivery   *prometheus.HistogramVec
	latency    *prometheus.HistogramVec
}

// NewMetrics makes the metrics and registers them; reg may be nil.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	ofTrigger := []string{"namespace", "broker", "trigger"}
	var all []prometheus.Collector
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "sweepline", Subsystem: "broker", Name: name, Help: help},
			append(ofTrigger[:3:3], labels...))
		all = append(all, c)
		return c
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "sweepline", Subsystem: "broker", Name: name, Help: help,
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, ofTrigger)
		all = append(all, h)
		return h
	}
	m := &Metrics{
		dispatched: counter("events_dispatched_total", "Events that left a trigger: delivered, dead.", "result"),
		attempts:   counter("delivery_attempts_total", "Attempts to deliver, by HTTP status class, absent or error.", "result"),
		dead:       counter("dead_letters_total", "Dead letters, by whether a sink took them.", "sink"),
		skipped:    counter("entries_skipped_total", "Entries that could not be delivered because they were corrupt, deleted, or of a later version (left for its processes).", "reason"),
		claimed:    counter("entries_claimed_total", "Entries taken over from a dead process."),
		looped:     counter("replies_dropped_total", "Replies dropped because their TTL was exhausted."),
		delivery:   histogram("delivery_duration_seconds", "Duration of one attempt to deliver."),
		latency:    histogram("delivery_latency_seconds", "Time from the storing of an event to its delivery."),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

// triggerMetrics are the metrics of one Trigger, looked up once.
type triggerMetrics struct {
	labels                                             []string
	delivered, dead, corrupt, deleted, newer, claimed  prometheus.Counter
	looped, sunk, listed                               prometheus.Counter
	delivery, latency                                  prometheus.Observer
	ok, absent, noAnswer, redirect, refusal, unhealthy prometheus.Counter
}

func (m *Metrics) of(t Trigger) *triggerMetrics {
	l := []string{t.Namespace, t.Broker, t.Name}
	with := func(v string) []string { return append(l[:3:3], v) }
	return &triggerMetrics{
		labels:    l,
		delivered: m.dispatched.WithLabelValues(with("delivered")...),
		dead:      m.dispatched.WithLabelValues(with("dead")...),
		corrupt:   m.skipped.WithLabelValues(with("corrupt")...),
		deleted:   m.skipped.WithLabelValues(with("deleted")...),
		newer:     m.skipped.WithLabelValues(with("newer")...),
		claimed:   m.claimed.WithLabelValues(l...),
		looped:    m.looped.WithLabelValues(l...),
		sunk:      m.dead.WithLabelValues(with("true")...),
		listed:    m.dead.WithLabelValues(with("false")...),
		delivery:  m.delivery.WithLabelValues(l...),
		latency:   m.latency.WithLabelValues(l...),
		ok:        m.attempts.WithLabelValues(with("2xx")...),
		redirect:  m.attempts.WithLabelValues(with("3xx")...),
		refusal:   m.attempts.WithLabelValues(with("4xx")...),
		unhealthy: m.attempts.WithLabelValues(with("5xx")...),
		absent:    m.attempts.WithLabelValues(with("absent")...),
		noAnswer:  m.attempts.WithLabelValues(with("error")...),
	}
}

func (m *triggerMetrics) count(r result) {
	switch {
	case !r.answered && r.absent:
		m.absent.Inc()
	case !r.answered:
		m.noAnswer.Inc()
	case r.code < 300:
		m.ok.Inc()
	case r.code < 400:
		m.redirect.Inc()
	case r.code < 500:
		m.refusal.Inc()
	default:
		m.unhealthy.Inc()
	}
}

// forget drops the series of a Trigger that is no more.
func (m *Metrics) forget(t Trigger) {
	l := prometheus.Labels{"namespace": t.Namespace, "broker": t.Broker, "trigger": t.Name}
	for _, c := range []*prometheus.CounterVec{m.dispatched, m.attempts, m.dead, m.skipped, m.claimed, m.looped} {
		c.DeletePartialMatch(l)
	}
	m.delivery.DeletePartialMatch(l)
	m.latency.DeletePartialMatch(l)
}
