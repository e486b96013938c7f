package broker

import (
	"context"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// mesh is one broker as this process appends to it: a batcher per partition.
type mesh struct {
	broker   Broker
	batchers []*batcher
	metrics  *metrics
	// Looked up once: all events and requests but the refused count there.
	stored, duplicate, accepted prometheus.Counter
}

func newMesh(b Broker, m *metrics) *mesh {
	return &mesh{
		broker: b, metrics: m,
		stored:    m.received.WithLabelValues(b.Namespace, b.Name, "stored"),
		duplicate: m.received.WithLabelValues(b.Namespace, b.Name, "duplicate"),
		accepted:  m.requests.WithLabelValues(b.Namespace, b.Name, http.StatusText(http.StatusAccepted)),
	}
}

// append stores all messages or returns an error. With several partitions a
// failure may leave some stored: the caller's repeat finds those to be
// duplicates and completes the rest.
func (m *mesh) append(ctx context.Context, messages []*message) error {
	if len(messages) == 0 {
		return nil
	}
	n := len(m.batchers)
	if n == 1 || len(messages) == 1 {
		return m.appendTo(ctx, messages[0].partition(n), messages)
	}
	byPartition := make(map[int][]*message)
	for _, msg := range messages {
		p := msg.partition(n)
		byPartition[p] = append(byPartition[p], msg)
	}
	g, ctx := errgroup.WithContext(ctx)
	for p, msgs := range byPartition {
		g.Go(func() error { return m.appendTo(ctx, p, msgs) })
	}
	return g.Wait()
}

func (m *mesh) appendTo(ctx context.Context, p int, messages []*message) error {
	stored, err := m.batchers[p].append(ctx, messages...)
	if err != nil {
		result := "unavailable"
		if errors.Is(err, errFull) {
			result = "full"
		}
		m.metrics.received.WithLabelValues(m.broker.Namespace, m.broker.Name, result).Add(float64(len(messages)))
		return err
	}
	duplicates := 0
	for _, s := range stored {
		if s.duplicate {
			duplicates++
		}
	}
	m.duplicate.Add(float64(duplicates))
	m.stored.Add(float64(len(stored) - duplicates))
	return nil
}

func (m *mesh) close() {
	for _, b := range m.batchers {
		b.close()
	}
}
