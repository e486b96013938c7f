package broker

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// All Triggers stop at once: stopping takes no longer for many idle ones than for one
// blocked read.
func TestManyTriggersStopTogether(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t))
	b.cfg.Block = 2 * patience // only an interrupted read ends before the test's patience
	s := subscribe(t, nil)
	var triggers []Trigger
	for i := range 40 {
		triggers = append(triggers, b.trigger(fmt.Sprintf("t%d", i), s))
	}
	n := b.start(triggers...)
	n.publish(http.StatusAccepted, "1")
	for range triggers {
		s.next(t)
	}
	stopped := make(chan struct{})
	go func() { n.stop(); close(stopped) }()
	receive(t, stopped)
}

// A process that had stopped and comes back does not hold up the end: what was
// flushed meanwhile is registered again, and stopping goes on.
func TestStopWhileRedisIsFlushed(t *testing.T) {
	t.Parallel()
	r, _ := durableRedis(t)
	defer r.Stop()
	b := setup(t, r.URL)
	s := subscribe(t, nil)
	var triggers []Trigger
	for i := range 6 {
		triggers = append(triggers, b.trigger(fmt.Sprintf("t%d", i), s))
	}
	n := b.start(triggers...)
	n.publish(http.StatusAccepted, "1")
	for range triggers {
		s.next(t)
	}
	stopped := make(chan struct{})
	go func() { n.stop(); close(stopped) }()
	require.NoError(t, b.rdb.FlushAll(t.Context()).Err())
	receive(t, stopped)
}

// What became of deliveries is known of a process that has stopped, too.
func TestRatesOutliveTheProcess(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t))
	s := subscribe(t, nil)
	n := b.start(b.trigger("t", s))
	n.publish(http.StatusAccepted, "1")
	s.next(t)
	b.settled("t")
	n.stop()
	rates, err := b.inspector.Rates(t.Context(), time.Now())
	require.NoError(t, err)
	for _, r := range rates {
		if r.Namespace == b.broker.Namespace && r.Broker == b.broker.Name {
			require.EqualValues(t, 1, r.Days[len(r.Days)-1]["t"].Delivered)
			require.Positive(t, r.Days[len(r.Days)-1]["t"].Quantile(.5))
			return
		}
	}
	require.Fail(t, "the broker is not told of")
}
