package broker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/shared/broker/dispatch"
	"github.com/zixly/sweepline/shared/broker/inspect"
	"github.com/zixly/sweepline/shared/broker/stream"
)

// keepHouse trims histories, removes Triggers that have been gone for long enough
// and old dead letters, until ctx ends. Every process does; the work is idempotent
// and cheap.
func (s *Server) keepHouse(ctx context.Context) {
	ticker := time.NewTicker(s.cfg.JanitorInterval)
	defer ticker.Stop()
	var forgotten time.Time
	for {
		// Dead letters live for days: looking for old ones costs a call for each Trigger.
		forget := time.Since(forgotten) >= min(forgetEvery, s.cfg.DeadLetterRetention/10)
		if forget {
			forgotten = time.Now()
		}
		for _, b := range s.brokers() {
			if err := s.clean(ctx, b, forget); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "housekeeping failed, retrying", "broker", b.broker.String(), "error", err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) brokers() []*served {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list()
}

// forgetEvery is the longest time between two looks for old dead letters.
const forgetEvery = 10 * time.Minute

func (s *Server) clean(ctx context.Context, b *served, forget bool) error {
	partitions, err := s.store.All(ctx, b.broker)
	if err != nil {
		return err
	}
	if len(partitions) > len(b.writers) { // another process spreads events further
		s.mu.Lock()
		set := s.set
		s.mu.Unlock()
		return s.Apply(ctx, set)
	}
	for _, p := range partitions {
		n, err := p.Trim(ctx)
		s.trimmed.WithLabelValues(b.broker.Namespace, b.broker.Name).Add(float64(n))
		if err != nil {
			return err
		}
		held, err := s.removeGone(ctx, b, p, s.cfg.RemovalGrace)
		b.tellHeld(ctx, s.log, p.Index, held)
		if err != nil {
			return err
		}
	}
	if forget {
		return s.forgetDead(ctx, b, partitions)
	}
	return nil
}

// serves names the Triggers of this process's configuration.
func (b *served) serves() map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make(map[string]bool, len(b.routes.Triggers)+len(b.routes.Keep))
	for _, t := range b.routes.Triggers {
		names[t.Name] = true
	}
	for _, name := range b.routes.Keep {
		names[name] = true
	}
	return names
}

// tellHeld says once of a Trigger that another process has removed it and that it is
// kept. All partitions are of the same Triggers.
func (b *served) tellHeld(ctx context.Context, log *slog.Logger, partition int, names []string) {
	if partition > 0 {
		return
	}
	held := make(map[string]bool, len(names))
	for _, name := range names {
		held[name] = true
		if !b.held[name] {
			log.WarnContext(ctx, "trigger was removed by another process and is kept: processes of a broker need the same configuration",
				"broker", b.broker.String(), "trigger", name)
		}
	}
	b.held = held
}

// RemoveGone removes the queues of Triggers that have left the set, without
// Config.RemovalGrace: for a configuration in which what is not there was deleted.
func (s *Server) RemoveGone(ctx context.Context) error {
	for _, b := range s.brokers() {
		partitions, err := s.store.All(ctx, b.broker)
		if err != nil {
			return err
		}
		for _, p := range partitions {
			if _, err := s.removeGone(ctx, b, p, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeGone returns what other processes have removed and this one serves.
func (s *Server) removeGone(ctx context.Context, b *served, p *stream.Partition, grace time.Duration) (held []string, err error) {
	gone, held, err := p.Purge(ctx, grace, b.serves())
	for _, name := range gone {
		s.log.InfoContext(ctx, "removed trigger's queue deleted", "broker", p.Broker.String(), "trigger", name, "partition", p.Index)
	}
	return held, err
}

// forgetDead drops dead letters that a sink took long enough ago.
func (s *Server) forgetDead(ctx context.Context, b *served, partitions []*stream.Partition) error {
	names, err := s.store.Names(ctx, b.broker)
	if err != nil {
		return err
	}
	taken := func(record []byte) bool { return dispatch.DecodeState(record).Taken }
	for _, p := range partitions {
		for _, name := range names {
			if err := p.ForgetDead(ctx, name, s.cfg.DeadLetterRetention, taken); err != nil {
				return err
			}
		}
	}
	return nil
}

// gauges are measured when they are scraped, so that an idle broker does nothing.
type gauges struct {
	s *Server

	mu   sync.Mutex
	at   time.Time
	last []prometheus.Metric

	length, lag, pending, retries, deadLetters, oldest *prometheus.Desc
}

// gaugesFresh is how long a measurement is used again.
const gaugesFresh = time.Second

func (s *Server) registerGauges(reg prometheus.Registerer) error {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sweepline_broker_"+name, help, labels, nil)
	}
	g := &gauges{
		s:           s,
		length:      desc("stream_entries", "Entries of the history of a broker.", "namespace", "broker"),
		lag:         desc("trigger_lag", "Events that a trigger has not claimed yet.", "namespace", "broker", "trigger"),
		pending:     desc("trigger_pending", "Events that are being delivered.", "namespace", "broker", "trigger"),
		retries:     desc("trigger_retries", "Events that wait for another attempt.", "namespace", "broker", "trigger"),
		deadLetters: desc("trigger_dead_letters", "Dead letters kept.", "namespace", "broker", "trigger"),
		oldest:      desc("trigger_oldest_seconds", "Age of the oldest event that a trigger has not finished.", "namespace", "broker", "trigger"),
	}
	s.trimmed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "sweepline", Subsystem: "broker", Name: "entries_trimmed_total", Help: "Entries removed from the history.",
	}, []string{"namespace", "broker"})
	if reg == nil {
		return nil
	}
	if err := reg.Register(s.trimmed); err != nil {
		return err
	}
	return reg.Register(g)
}

func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.length, g.lag, g.pending, g.retries, g.deadLetters, g.oldest} {
		ch <- d
	}
}

// Collect leaves out what Redis does not tell now.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.at) > gaugesFresh {
		g.at, g.last = time.Now(), g.measure()
	}
	for _, m := range g.last {
		ch <- m
	}
}

func (g *gauges) measure() []prometheus.Metric {
	ctx, cancel := context.WithTimeout(context.Background(), g.s.cfg.RedisTimeout)
	defer cancel()
	var out []prometheus.Metric
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out = append(out, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...))
	}
	inspector := inspect.Of(g.s.store)
	for _, b := range g.s.brokers() {
		ns, name := b.broker.Namespace, b.broker.Name
		histories, err := g.s.store.Histories(ctx, b.broker)
		if err != nil {
			continue
		}
		entries := int64(0)
		for _, h := range histories {
			entries += h.Entries
		}
		gauge(g.length, float64(entries), ns, name)
		triggers, err := inspector.TriggersOf(ctx, b.broker)
		if err != nil {
			continue
		}
		for _, t := range triggers {
			gauge(g.lag, float64(t.Lag), ns, name, t.Name)
			gauge(g.pending, float64(t.Pending), ns, name, t.Name)
			gauge(g.retries, float64(t.Retries), ns, name, t.Name)
			gauge(g.deadLetters, float64(t.DeadLetters), ns, name, t.Name)
			gauge(g.oldest, t.OldestAge.Seconds(), ns, name, t.Name)
		}
	}
	return out
}
