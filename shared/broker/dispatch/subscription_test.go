package dispatch

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/broker/stream"
)

// waiting gives a subscription of one partition that delivers nothing, and a way to
// claim entries for it.
func waiting(t *testing.T) (*subscription, func(ids ...string)) {
	t.Helper()
	metrics, err := NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	d := &Dispatcher{log: slog.New(slog.DiscardHandler), metrics: metrics}
	p := &partition{}
	d.parts = []*partition{p}
	s := newSubscription(d, Trigger{Namespace: "n", Broker: "b", Name: "t"})
	s.paused = true
	return s, func(ids ...string) {
		var entries []*stream.Entry
		for _, id := range ids {
			entries = append(entries, &stream.Entry{Trigger: "t", ID: id, Message: &cloudevent.Message{}})
		}
		s.claimed(p, 0, entries, false, false)
	}
}

// What is claimed while a process that had lost its heartbeat looks at what it still
// has pending was not there to be seen: it is kept.
func TestDropKeepsWhatWasClaimedMeanwhile(t *testing.T) {
	t.Parallel()
	s, claim := waiting(t)
	claim("1-0", "2-0")
	before := s.waitingAt(s.d.parts[0])
	pending := map[string]bool{"2-0": true}
	claim("3-0")
	s.drop(before, pending)
	var ids []string
	for _, d := range s.waiting {
		ids = append(ids, d.entry.ID)
	}
	require.Equal(t, []string{"2-0", "3-0"}, ids)
	require.Len(t, s.at[s.d.parts[0]].held, 2)
	require.True(t, s.holds(s.d.parts[0])("3-0"))
}

// That a Trigger is not registered any more is no news once it was named again.
func TestDetachIsOfOneNaming(t *testing.T) {
	t.Parallel()
	s, _ := waiting(t)
	s.attach()
	looked := registration{s, s.generation}
	s.attach()
	require.False(t, s.detach(looked.generation))
	require.False(t, s.gone)
	require.True(t, s.detach(s.generation))
	s.attach()
	require.False(t, s.gone)
}

// What is kept of a Trigger, and shown of it, holds no password.
func TestARegistrationHoldsNoCredentials(t *testing.T) {
	t.Parallel()
	tr := Trigger{Subscriber: "http://me:hush@store/x", Delivery: Delivery{DeadLetterSink: "http://me:hush@sink"}}
	r := tr.Registration().Record
	require.Equal(t, "http://store/x", r.Subscriber)
	require.Equal(t, "http://sink", r.DeadLetterSink)
}
