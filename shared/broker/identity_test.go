package broker

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// Deliveries say who sends to whom asks for it, dead letters to their sink as well, and
// tokens reach nobody else.
func TestDeliveriesCarryTheTokenOfTheirAudience(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Miniredis(t))
	b.cfg.Token = func(identity, audience string) (string, error) { return identity + " to " + audience, nil }
	refuses := subscribe(t, func(w http.ResponseWriter, _ delivery) { w.WriteHeader(http.StatusBadRequest) })
	sink, plain := subscribe(t, nil), subscribe(t, nil)
	asks := b.trigger("asks", refuses)
	asks.Identity, asks.Audience = "asks-account", "subscriber"
	asks.Delivery.DeadLetterSink, asks.Delivery.DeadLetterSinkAudience = sink.URL, "sink"
	none := b.trigger("plain", plain)
	none.Identity = "plain-account"
	n := b.start(asks, none)
	n.publish(http.StatusAccepted, "1", "Authorization", "Bearer of the sender")
	require.Equal(t, "Bearer asks-account to subscriber", refuses.next(t).header.Get("Authorization"))
	require.Equal(t, "Bearer asks-account to sink", sink.next(t).header.Get("Authorization"))
	require.Empty(t, plain.next(t).header.Get("Authorization"), "nor is the sender's own passed on")
}

// An event is not a dead letter for a token that is late: nobody was asked.
func TestADeliveryWaitsForItsToken(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Miniredis(t))
	var late atomic.Int32
	b.cfg.Token = func(string, string) (string, error) {
		if late.Add(1) < 4 {
			return "", errors.New("not mounted yet")
		}
		return "good", nil
	}
	s := subscribe(t, nil)
	trigger := b.trigger("t", s)
	trigger.Audience, trigger.Absence, trigger.Delivery.BackoffDelay = "subscriber", time.Minute, time.Millisecond
	n := b.start(trigger)
	n.publish(http.StatusAccepted, "1")
	require.Equal(t, "Bearer good", s.next(t).header.Get("Authorization"))
	require.EqualValues(t, 4, late.Load())
}
