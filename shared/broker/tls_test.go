package broker

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestSubscribersWithCertificatesOfTheirOwn(t *testing.T) {
	t.Parallel()
	got := make(chan string, 10)
	sub := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Ce-Id")
	}))
	t.Cleanup(sub.Close)
	b := setup(t, servertest.Miniredis(t))
	known := Trigger{Namespace: b.broker.Namespace, Broker: b.broker.Name, Name: "known", Subscriber: sub.URL}
	known.CACerts = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sub.Certificate().Raw}))
	stranger := known
	stranger.Name, stranger.CACerts = "stranger", ""
	n := b.start(known, stranger)
	n.publish(http.StatusAccepted, "1")
	require.Equal(t, "1", receive(t, got))
	eventually(t, "the other gives up", func() bool { return len(b.deadLetters()) == 1 })
	letter := b.deadLetters()[0]
	require.Equal(t, "stranger", letter.Trigger)
	require.Empty(t, got, "nothing is sent to whom nobody vouches for")

	known.CACerts = "none"
	require.ErrorContains(t, known.Validate(), "CACerts")
}

// A subscriber that cannot prove who it is, as while its certificate is renewed, is
// waited for like one that is not there.
func TestSubscriberWithoutAValidCertificateIsAbsent(t *testing.T) {
	t.Parallel()
	got := make(chan string, 10)
	sub := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Ce-Id")
	}))
	t.Cleanup(sub.Close)
	b := setup(t, servertest.Miniredis(t))
	tr := Trigger{Namespace: b.broker.Namespace, Broker: b.broker.Name, Name: "t", Subscriber: sub.URL, Absence: time.Hour}
	n := b.start(tr)
	n.publish(http.StatusAccepted, "1")
	eventually(t, "an attempt was made", func() bool { return b.info("t").Retries == 1 || len(b.deadLetters()) > 0 })
	require.Empty(t, b.deadLetters())
	tr.CACerts = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sub.Certificate().Raw}))
	n.apply(tr)
	require.Equal(t, "1", receive(t, got))
	b.settled("t")
}
