package sink_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/seal"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/sink"
)

var sealed = seal.Config{Key: "a-key-for-tests-only"}

func newEvent(id string) cloudevents.Event {
	e := cloudevents.New()
	e.SetID(id)
	e.SetSource("/test")
	e.SetType("com.example.thing")
	e.SetExtension("tenantid", "acme")
	if err := e.SetData(cloudevents.ApplicationJSON, map[string]string{"id": id}); err != nil {
		panic(err)
	}
	return e
}

func newSink(t *testing.T, h http.HandlerFunc) *sink.Sink {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	s, err := sink.New(sink.Config{Sink: srv.URL + "/ns/broker", SinkTimeout: time.Second, Seals: sealed})
	require.NoError(t, err)
	return s
}

func TestSinkSendsOneEventInBinaryMode(t *testing.T) {
	t.Parallel()
	var got *cloudevents.Event
	var header http.Header
	s := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		got, _ = cehttp.NewEventFromHTTPRequest(r)
		w.WriteHeader(http.StatusAccepted)
	})
	want := newEvent("a/requested")
	require.NoError(t, s.Send(t.Context(), want))
	require.Equal(t, want.String(), got.String())
	require.Equal(t, "a/requested", header.Get("Ce-Id"))
	require.Equal(t, "acme", header.Get("Ce-Tenantid"))
	require.NotContains(t, header, "Idempotency-Key", "it is for net/http, not for the wire")
}

func TestSinkTrustsWhatItIsTold(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	t.Cleanup(srv.Close)
	certs := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	for _, c := range []string{certs, ""} {
		s, err := sink.New(sink.Config{Sink: srv.URL + "/ns/broker", SinkCACerts: c, Seals: sealed})
		require.NoError(t, err)
		require.Equal(t, c != "", s.Send(t.Context(), newEvent("a/requested")) == nil)
	}
	_, err := sink.New(sink.Config{Sink: srv.URL, SinkCACerts: "none", Seals: sealed})
	require.ErrorContains(t, err, "K_CA_CERTS")
}

func TestSinkSendsSeveralAsOneBatch(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var got []cloudevents.Event
	s := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if cehttp.IsHTTPBatch(r.Header) {
			_ = json.NewDecoder(r.Body).Decode(&got)
		}
		w.WriteHeader(http.StatusAccepted)
	})
	require.NoError(t, s.Send(t.Context()))
	require.Zero(t, calls.Load(), "nothing to send, nobody to ask")
	require.NoError(t, s.Send(t.Context(), newEvent("a"), newEvent("b")))
	require.EqualValues(t, 1, calls.Load())
	require.Len(t, got, 2)
}

func TestSinkWithoutBatchesGetsThemOneByOne(t *testing.T) {
	t.Parallel()
	var ids []string
	s := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		if cehttp.IsHTTPBatch(r.Header) {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		ids = append(ids, r.Header.Get("Ce-Id"))
	})
	require.NoError(t, s.Send(t.Context(), newEvent("a"), newEvent("b")))
	require.Equal(t, []string{"a", "b"}, ids)
}

func TestSinkTellsWhatMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		header string
		wait   time.Duration // 0: refused for good
	}{
		{http.StatusServiceUnavailable, "7", 7 * time.Second},
		{http.StatusTooManyRequests, "", time.Second},
		{http.StatusInternalServerError, "-4", time.Second},
		{http.StatusServiceUnavailable, "99999999", 5 * time.Minute},
		{http.StatusServiceUnavailable, "Fri, 01 Jan 2100 00:00:00 GMT", 5 * time.Minute},
		{http.StatusServiceUnavailable, "nonsense", time.Second},
		{http.StatusUnauthorized, "", time.Second}, // it is about us, not about the event
		{http.StatusForbidden, "", time.Second},
		{http.StatusBadRequest, "", 0},
		{http.StatusFound, "", 0},
	} {
		var calls atomic.Int32
		s := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			if c.header != "" {
				w.Header().Set("Retry-After", c.header)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
		})
		err := s.Send(t.Context(), newEvent("a"))
		require.EqualValues(t, 1, calls.Load(), "an answer is an answer")
		if c.wait == 0 {
			var refused *sink.Refused
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.status, refused.Status)
			var later *sink.Unavailable
			require.NotErrorAs(t, err, &later)
			continue
		}
		var later *sink.Unavailable
		require.ErrorAs(t, err, &later)
		require.Equal(t, c.wait, later.RetryAfter, c.header)
		require.Equal(t, c.status, later.Status)
	}
}

func TestSinkTriesAgainWhenTheConnectionBreaks(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	s := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if calls.Add(1) == 1 {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		}
	})
	require.NoError(t, s.Send(t.Context(), newEvent("a")))
	require.EqualValues(t, 2, calls.Load())
}

// The first connections of a fresh pod may be refused.
func TestSinkWaitsForTheNetwork(t *testing.T) {
	t.Parallel()
	addr := fmt.Sprintf("127.0.0.1:%d", servertest.Port(t))
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	require.NoError(t, srv.Listener.Close())
	t.Cleanup(srv.Close)
	up := make(chan error, 1)
	time.AfterFunc(300*time.Millisecond, func() {
		var err error
		if srv.Listener, err = net.Listen("tcp", addr); err == nil {
			srv.Start()
		}
		up <- err
	})
	s, err := sink.New(sink.Config{Sink: "http://" + addr, Seals: sealed})
	require.NoError(t, err)
	sent := s.Send(t.Context(), newEvent("a"))
	require.NoError(t, <-up)
	require.NoError(t, sent)
}

func TestSinkThatIsGoneIsUnavailableAndUnnamed(t *testing.T) {
	t.Parallel()
	s, err := sink.New(sink.Config{Sink: fmt.Sprintf("http://user:hushhush@127.0.0.1:%d/x", servertest.Port(t)), Seals: sealed})
	require.NoError(t, err)
	err = s.Send(t.Context(), newEvent("a"))
	var later *sink.Unavailable
	require.ErrorAs(t, err, &later)
	require.Zero(t, later.Status)
	require.NotContains(t, err.Error(), "hushhush")
}

func TestSinkBoundsEachTry(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(release) })
	s, err := sink.New(sink.Config{Sink: srv.URL, SinkTimeout: 20 * time.Millisecond, Seals: sealed})
	require.NoError(t, err)
	var later *sink.Unavailable
	require.ErrorAs(t, s.Send(t.Context(), newEvent("a")), &later)
}

func TestNewSinkRefusesWhatIsNoURL(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "broker:8081", "ftp://x", "http://", "hushhush\x7f"} {
		_, err := sink.New(sink.Config{Sink: bad, Seals: sealed})
		require.ErrorContains(t, err, "K_SINK")
		require.NotContains(t, err.Error(), "hushhush")
	}
}

// Events of accepted work say so; others don't.
func TestSinkMarksAcceptedWork(t *testing.T) {
	t.Parallel()
	got := make(chan string, 2)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Priority")
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(srv.Close)
	for _, options := range [][]sink.Option{nil, {sink.OfAcceptedWork()}} {
		sender, err := sink.New(sink.Config{Sink: srv.URL, Seals: sealed}, options...)
		require.NoError(t, err)
		e := cloudevents.New()
		e.SetID("1")
		e.SetSource("/s")
		e.SetType("t")
		require.NoError(t, sender.Send(t.Context(), e))
	}
	require.Empty(t, <-got)
	require.Equal(t, "u=1", <-got)
}

// What leaves by a sink is sealed, in each way that events can leave.
func TestWhatIsSentIsSealed(t *testing.T) {
	t.Parallel()
	keys, err := seal.New(sealed)
	require.NoError(t, err)
	var got []cloudevents.Event
	batches := true
	s := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		if !cehttp.IsHTTPBatch(r.Header) {
			e, err := cehttp.NewEventFromHTTPRequest(r)
			if err == nil {
				got = append(got, *e)
			}
			return
		}
		if !batches {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		_ = json.NewDecoder(r.Body).Decode(&got)
	})
	require.NoError(t, s.Send(t.Context(), newEvent("a")))
	require.NoError(t, s.Send(t.Context(), newEvent("b"), newEvent("c")))
	batches = false
	require.NoError(t, s.Send(t.Context(), newEvent("d"), newEvent("e")))
	require.Len(t, got, 4, "a batch has taken the place of the first")
	for _, e := range got {
		require.NoError(t, keys.Check(&e), e.ID())
	}
	_, err = sink.New(sink.Config{Sink: "http://x"})
	require.ErrorContains(t, err, "EVENT_SEAL_KEY is required")
}
