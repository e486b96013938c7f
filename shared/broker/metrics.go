package broker

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests   *prometheus.CounterVec
	received   *prometheus.CounterVec
	dispatched *prometheus.CounterVec
	attempts   *prometheus.CounterVec
	filtered   *prometheus.CounterVec
	dead       *prometheus.CounterVec
	skipped    *prometheus.CounterVec
	claimed    *prometheus.CounterVec
	delivery   *prometheus.HistogramVec
	latency    *prometheus.HistogramVec

	length  *prometheus.GaugeVec
	lag     *prometheus.GaugeVec
	pending *prometheus.GaugeVec
	retries *prometheus.GaugeVec
	buried  *prometheus.GaugeVec
	oldest  *prometheus.GaugeVec
	trimmed *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	ofBroker := []string{"namespace", "broker"}
	ofTrigger := []string{"namespace", "broker", "trigger"}
	with := func(labels []string, more ...string) []string {
		return append(labels[:len(labels):len(labels)], more...)
	}
	var all []prometheus.Collector
	counter := func(name, help string, labels []string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "sweepline", Subsystem: "broker", Name: name, Help: help}, labels)
		all = append(all, c)
		return c
	}
	gauge := func(name, help string, labels []string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "sweepline", Subsystem: "broker", Name: name, Help: help}, labels)
		all = append(all, g)
		return g
	}
	histogram := func(name, help string, labels []string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "sweepline", Subsystem: "broker", Name: name, Help: help,
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, labels)
		all = append(all, h)
		return h
	}
	m := &metrics{
		requests:   counter("requests_total", "Requests to the ingress, by status text.", with(ofBroker, "status")),
		received:   counter("events_received_total", "Events at the ingress and replies: stored, duplicate, full, unavailable.", with(ofBroker, "result")),
		dispatched: counter("events_dispatched_total", "Events that left a trigger: delivered, dead.", with(ofTrigger, "result")),
		attempts:   counter("delivery_attempts_total", "Attempts to deliver, by HTTP status class or error.", with(ofTrigger, "result")),
		filtered:   counter("events_filtered_total", "Events that a trigger's filter refused.", ofTrigger),
		dead:       counter("dead_letters_total", "Dead letters, by whether a sink took them.", with(ofTrigger, "sink")),
		skipped:    counter("entries_skipped_total", "Entries that could not be delivered because they were corrupt or deleted.", with(ofTrigger, "reason")),
		claimed:    counter("entries_claimed_total", "Entries taken over from a process that stopped renewing them.", ofTrigger),
		delivery:   histogram("delivery_duration_seconds", "Duration of one attempt to deliver.", ofTrigger),
		latency:    histogram("delivery_latency_seconds", "Time from the storing of an event to its delivery.", ofTrigger),
		length:     gauge("stream_entries", "Entries of all streams of a broker.", ofBroker),
		lag:        gauge("trigger_lag", "Entries that a trigger has not read yet.", ofTrigger),
		pending:    gauge("trigger_pending", "Entries read and not yet acknowledged.", ofTrigger),
		retries:    gauge("trigger_retries", "Events that wait for another attempt.", ofTrigger),
		buried:     gauge("trigger_dead_letters", "Dead letters kept.", ofTrigger),
		oldest:     gauge("trigger_oldest_seconds", "Age of the oldest event that a trigger has not finished.", ofTrigger),
		trimmed:    counter("entries_trimmed_total", "Acknowledged entries removed from the streams.", ofBroker),
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

// triggerMetrics are the metrics of one trigger, looked up once.
type triggerMetrics struct {
	delivered, buried, filtered, corrupt, deleted, lost, claimed prometheus.Counter
	delivery, latency                                            prometheus.Observer
}

func (m *metrics) of(k triggerKey) *triggerMetrics {
	l := []string{k.namespace, k.broker, k.name}
	with := func(v string) []string { return append(l[:3:3], v) }
	return &triggerMetrics{
		delivered: m.dispatched.WithLabelValues(with("delivered")...),
		buried:    m.dispatched.WithLabelValues(with("dead")...),
		filtered:  m.filtered.WithLabelValues(l...),
		corrupt:   m.skipped.WithLabelValues(with("corrupt")...),
		deleted:   m.skipped.WithLabelValues(with("deleted")...),
		lost:      m.skipped.WithLabelValues(with("lost")...),
		claimed:   m.claimed.WithLabelValues(l...),
		delivery:  m.delivery.WithLabelValues(l...),
		latency:   m.latency.WithLabelValues(l...),
	}
}

// forget drops the series of a trigger that is no more.
func (m *metrics) forget(k triggerKey) {
	l := prometheus.Labels{"namespace": k.namespace, "broker": k.broker, "trigger": k.name}
	for _, c := range []*prometheus.CounterVec{m.dispatched, m.attempts, m.filtered, m.dead, m.skipped, m.claimed} {
		c.DeletePartialMatch(l)
	}
	for _, g := range []*prometheus.GaugeVec{m.lag, m.pending, m.retries, m.buried, m.oldest} {
		g.DeletePartialMatch(l)
	}
	m.delivery.DeletePartialMatch(l)
	m.latency.DeletePartialMatch(l)
}
