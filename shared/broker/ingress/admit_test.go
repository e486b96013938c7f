package ingress

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker/filter"
	"github.com/zixly/sweepline/shared/broker/stream"
)

// unread fails a test whose body is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, errors.New("read")
}

func TestWhoMayNotPostIsToldBeforeItsBodyIsRead(t *testing.T) {
	t.Parallel()
	name := stream.Broker{Namespace: "ns", Name: "b"}
	for status, err := range map[int]error{
		http.StatusUnauthorized: ErrUnauthenticated, http.StatusForbidden: ErrForbidden, http.StatusServiceUnavailable: errors.New("no keys"),
	} {
		var lines bytes.Buffer
		h, e := New(Config{MaxEventBytes: 1000, RedisTimeout: 1, Admit: func(_ *http.Request, b stream.Broker) (Admission, error) {
			require.Equal(t, name, b)
			return Admission{Sender: "alice"}, err
		}}, nil, slog.New(slog.NewTextHandler(&lines, nil)))
		require.NoError(t, e)
		h.Serve(map[stream.Broker]*Broker{name: NewBroker(name, nil, nil, nil)})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/ns/b", unread{t}))
		require.Equal(t, status, w.Code)
		require.Equal(t, status == http.StatusUnauthorized, w.Header().Get("Www-Authenticate") == "Bearer")
		require.NotContains(t, w.Body.String(), "alice")
		require.Contains(t, lines.String(), "sender=alice")
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodOptions, "/ns/b", nil))
		require.Equal(t, http.StatusOK, w.Code, "what may be asked of the address is everybody's to know")
	}
}

// A batch is taken as a whole or not at all.
func TestABatchWithOneEventTooManyIsRefused(t *testing.T) {
	t.Parallel()
	name := stream.Broker{Namespace: "ns", Name: "b"}
	h, err := New(Config{MaxEventBytes: 1000, RedisTimeout: 1, Admit: func(*http.Request, stream.Broker) (Admission, error) {
		return Admission{Sender: "alice", Allows: func(a filter.Attributes) bool {
			kind, _ := a.Attribute("type")
			return kind == "good"
		}}, nil
	}}, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	h.Serve(map[stream.Broker]*Broker{name: NewBroker(name, nil, nil, nil)}) // without writers: nothing can be stored
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/ns/b", strings.NewReader(
		`[{"specversion":"1.0","id":"1","source":"/s","type":"good"},{"specversion":"1.0","id":"2","source":"/s","type":"bad"}]`))
	r.Header.Set("Content-Type", "application/cloudevents-batch+json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusForbidden, w.Code)
}
