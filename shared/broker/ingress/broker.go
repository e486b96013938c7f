package ingress

import (
	"context"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/broker/stream"
)

// Broker is one Broker as this process stores events in it: a writer for each
// partition that new events are spread over.
type Broker struct {
	name    stream.Broker
	writers []*stream.Writer
	// former are numbers of partitions that events were spread over within the
	// deduplication window: a repeat may be known where it went then.
	former []int
	store  *stream.Store

	handler *Handler
	// Looked up once: all events and requests but the refused count there.
	stored, duplicate, accepted prometheus.Counter
}

// NewBroker makes a Broker of the writers to its partitions, in order.
func NewBroker(name stream.Broker, store *stream.Store, writers []*stream.Writer, former []int) *Broker {
	return &Broker{name: name, store: store, writers: writers, former: former}
}

func (b *Broker) bind(h *Handler) {
	b.handler = h
	b.stored = h.received.WithLabelValues(b.name.Namespace, b.name.Name, "stored")
	b.duplicate = h.received.WithLabelValues(b.name.Namespace, b.name.Name, "duplicate")
	b.accepted = h.requests.WithLabelValues(b.name.Namespace, b.name.Name, http.StatusText(http.StatusAccepted))
}

// Publish stores all messages or returns an error. With several partitions, or more
// messages than one commit takes, a failure may leave some stored: the caller's
// repeat finds those to be duplicates and completes the rest.
func (b *Broker) Publish(ctx context.Context, priority bool, messages []*cloudevent.Message) error {
	messages, err := b.unknown(ctx, messages)
	if err != nil || len(messages) == 0 {
		return err
	}
	n := len(b.writers)
	if n == 1 || len(messages) == 1 {
		return b.publishTo(ctx, messages[0].Partition(n), priority, messages)
	}
	byPartition := make(map[int][]*cloudevent.Message)
	for _, m := range messages {
		p := m.Partition(n)
		byPartition[p] = append(byPartition[p], m)
	}
	g, ctx := errgroup.WithContext(ctx)
	for p, ms := range byPartition {
		g.Go(func() error { return b.publishTo(ctx, p, priority, ms) })
	}
	return g.Wait()
}

// unknown leaves out what was stored in another partition while there were others.
func (b *Broker) unknown(ctx context.Context, messages []*cloudevent.Message) ([]*cloudevent.Message, error) {
	for _, former := range b.former {
		asked := make(map[int][]*cloudevent.Message)
		var rest []*cloudevent.Message
		for _, m := range messages {
			if p := m.Partition(former); p != m.Partition(len(b.writers)) {
				asked[p] = append(asked[p], m)
			} else {
				rest = append(rest, m)
			}
		}
		for p, ms := range asked {
			known, err := b.store.Partition(b.name, p).Known(ctx, ms)
			if err != nil {
				return nil, err
			}
			for i, m := range ms {
				if known[i] {
					b.duplicate.Inc()
				} else {
					rest = append(rest, m)
				}
			}
		}
		messages = rest
	}
	return messages, nil
}

func (b *Broker) publishTo(ctx context.Context, p int, priority bool, messages []*cloudevent.Message) error {
	stored, err := b.writers[p].Publish(ctx, priority, messages...)
	if err != nil {
		result := "unavailable"
		if errors.Is(err, stream.ErrFull) || errors.Is(err, stream.ErrNoMemory) || errors.Is(err, stream.ErrBusy) {
			result = "full"
		}
		b.handler.received.WithLabelValues(b.name.Namespace, b.name.Name, result).Add(float64(len(messages)))
		return err
	}
	for _, s := range stored {
		if s.Duplicate {
			b.duplicate.Inc()
		} else {
			b.stored.Inc()
		}
	}
	return nil
}
