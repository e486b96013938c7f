package broker

import (
	"context"
	"strconv"
	"time"
)

// keepHouse trims the streams, forgets old dead letters and samples the gauges.
// Every process does; the work is idempotent and cheap.
func (s *Server) keepHouse(ctx context.Context) {
	for {
		s.clean(ctx)
		if !sleep(ctx, s.cfg.JanitorInterval) {
			return
		}
	}
}

func (s *Server) clean(ctx context.Context) {
	inspector := newInspector(s.rdb, s.cfg.RedisTimeout, s.cfg.now)
	for b := range *s.meshes.Load() {
		if ctx.Err() != nil {
			return
		}
		if err := s.cleanBroker(ctx, inspector, b); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "Broker cannot be cleaned up", "broker", b.String(), "error", err)
		}
	}
}

func (s *Server) cleanBroker(ctx context.Context, inspector *Inspector, b Broker) error {
	n, err := partitionsOf(ctx, s.rdb, b)
	if err != nil {
		return err
	}
	for i := range n {
		if err := s.trim(ctx, newPartition(b, i)); err != nil {
			return err
		}
	}
	triggers, err := inspector.triggersOf(ctx, b)
	if err != nil {
		return err
	}
	var length int64
	for i := range n {
		entries, err := s.rdb.XLen(ctx, newPartition(b, i).stream()).Result()
		if err != nil {
			return err
		}
		length += entries
	}
	s.metrics.length.WithLabelValues(b.Namespace, b.Name).Set(float64(length))
	for _, t := range triggers {
		s.sample(t)
	}
	names, err := inspector.namesOf(ctx, b)
	if err != nil {
		return err
	}
	for _, name := range names {
		for i := range n {
			if err := s.forgetTaken(ctx, newPartition(b, i), name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) sample(t TriggerInfo) {
	l := []string{t.Namespace, t.Broker, t.Name}
	s.metrics.lag.WithLabelValues(l...).Set(float64(t.Lag))
	s.metrics.pending.WithLabelValues(l...).Set(float64(t.Pending))
	s.metrics.retries.WithLabelValues(l...).Set(float64(t.Retries))
	s.metrics.buried.WithLabelValues(l...).Set(float64(t.DeadLetters))
	s.metrics.oldest.WithLabelValues(l...).Set(t.OldestAge.Seconds())
}

// trim removes what all groups have acknowledged. Nothing within the retention
// goes, unless the stream has come near its cap: then intake matters more than
// history.
func (s *Server) trim(ctx context.Context, p partition) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	keepFrom := s.cfg.now().Add(-s.cfg.Retention).UnixMilli()
	soft := s.cfg.StreamCap - s.cfg.StreamCap/10
	n, err := trimScript.Run(ctx, s.rdb, []string{p.stream()}, keepFrom, soft).Int64()
	if err != nil {
		return err
	}
	s.metrics.trimmed.WithLabelValues(p.broker.Namespace, p.broker.Name).Add(float64(n))
	return nil
}

// forgetTaken drops dead letters that a sink took long enough ago.
func (s *Server) forgetTaken(ctx context.Context, p partition, trigger string) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	until := s.cfg.now().Add(-s.cfg.DeadLetterRetention).UnixMilli()
	for offset := int64(0); ; {
		ids, err := s.rdb.ZRangeByScore(ctx, p.buried(trigger), rangeTo(until, offset, forgetBatch)).Result()
		if err != nil || len(ids) == 0 {
			return err
		}
		records, err := s.rdb.HMGet(ctx, p.dead(trigger), prefixed("m:", ids)...).Result()
		if err != nil {
			return err
		}
		var gone []any
		for i, r := range records {
			text, ok := r.(string)
			if !ok || decodeDead(text).Taken {
				gone = append(gone, ids[i])
			}
		}
		if len(gone) > 0 {
			if err := discardScript.Run(ctx, s.rdb, []string{p.buried(trigger), p.dead(trigger)}, gone...).Err(); err != nil {
				return err
			}
		}
		offset += int64(len(ids) - len(gone))
		if len(ids) < forgetBatch {
			return nil
		}
	}
}

const forgetBatch = 256

func prefixed(prefix string, ss []string) []string {
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = prefix + s
	}
	return out
}

func idTime(id string) time.Time {
	ms, _, ok := splitID(id)
	if !ok {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func millis(n int64) string { return strconv.FormatInt(n, 10) }
