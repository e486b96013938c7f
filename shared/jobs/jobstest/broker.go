package jobstest

import (
	"context"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/wait"
)

// Broker is a broker of one Trigger, n/b/store, the slots, and the trading API.
type Broker struct{ *World }

func (b Broker) Streams(context.Context) ([]broker.StreamInfo, error) {
	return []broker.StreamInfo{{Namespace: "n", Broker: "b", Entries: 7}}, b.Fails("redis")
}

func (b Broker) Triggers(context.Context) ([]broker.TriggerInfo, error) {
	b.mu.Lock()
	triggers := b.World.Triggers
	b.mu.Unlock()
	return triggers, b.Fails("redis")
}

func (b Broker) Retries(context.Context, string, string, string, int) ([]broker.Retry, error) {
	return []broker.Retry{{Trigger: "store", EventType: "com.zixly.sweep.completed.v1", Attempts: 2, Code: 500, Reason: `{"error":"disk <full>"}`, Due: Created}}, nil
}

// Rates tells of what "store" was given lately.
func (b Broker) Rates(context.Context, time.Time) ([]broker.Rates, error) {
	rate := &broker.Rate{Failed: 1, DeadLettered: 1}
	for _, after := range []time.Duration{time.Millisecond, 16 * time.Millisecond, 2 * time.Second} {
		rate.Deliver(after)
	}
	lately := []map[string]*broker.Rate{{}, {"store": rate}}
	return []broker.Rates{{Namespace: "n", Broker: "b", Hour: Created, Day: Created, Hours: lately, Days: lately}}, b.Fails("redis")
}

func (b Broker) act(word, namespace, name, trigger string) error {
	if namespace+"/"+name+"/"+trigger != "n/b/store" {
		return broker.ErrNotFound
	}
	b.Set(func() { b.Acts = append(b.Acts, word) })
	return b.Fails("redis")
}

func (b Broker) Pause(_ context.Context, n, name, t string) error { return b.act("pause", n, name, t) }
func (b Broker) Resume(_ context.Context, n, name, t string) error {
	return b.act("resume", n, name, t)
}
func (b Broker) ReplayFrom(_ context.Context, n, name, t string, since time.Time) error {
	return b.act("replay "+since.UTC().Format(time.RFC3339), n, name, t)
}

func (b Broker) Count(context.Context) (wait.Counts, error) {
	b.mu.Lock()
	counts := b.Counts
	b.mu.Unlock()
	return counts, b.Fails("redis")
}
func (b Broker) Config() wait.Config          { return wait.Config{MaxConcurrent: 5} }
func (b Broker) Health(context.Context) error { return b.Fails("trading") }

// DeadLetter is an event of owner that could not be delivered.
func DeadLetter(id, owner string, died time.Time) broker.DeadLetter {
	e := cloudevents.New()
	e.SetID(id)
	e.SetSource("/x")
	e.SetType("t")
	e.SetExtension("tenantid", owner)
	return broker.DeadLetter{ID: id, Reason: "422", Died: died, Event: e, Position: fmt.Sprintf("%012x.%016x", died.UnixMilli(), id)}
}
