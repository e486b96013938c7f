package ingress

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker/stream"
)

// Large bodies share their room: while it is taken there is none for another, and
// small ones need none.
func TestLargeBodiesShareTheirRoom(t *testing.T) {
	t.Parallel()
	h, err := New(Config{MaxEventBytes: 1 << 20, RedisTimeout: 10 * time.Millisecond}, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	sized := func(n int64) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
		r.ContentLength = n
		return r
	}
	var held []func()
	for range largeBodies >> 20 {
		done := h.room(sized(1 << 20))
		require.NotNil(t, done)
		held = append(held, done)
	}
	require.Nil(t, h.room(sized(smallBody+1)))
	require.Nil(t, h.room(sized(-1)), "one of unknown length may be as long as any")
	require.NotNil(t, h.room(sized(smallBody)))
	require.NotNil(t, h.room(sized(1<<30)), "which is refused without being read")
	held[0]()
	require.NotNil(t, h.room(sized(1<<20)))
}

func TestNoRoomIsAnsweredWithComeAgain(t *testing.T) {
	t.Parallel()
	h, err := New(Config{MaxEventBytes: 1 << 20, RedisTimeout: 10 * time.Millisecond}, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	h.Serve(map[stream.Broker]*Broker{{Namespace: "n", Name: "b"}: NewBroker(stream.Broker{Namespace: "n", Name: "b"}, nil, nil, nil)})
	require.NoError(t, h.large.Acquire(t.Context(), largeBodies))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/n/b", bytes.NewReader(make([]byte, 100<<10))))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
}

func TestAnswersAreShort(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	refuse(w, http.StatusBadRequest, strings.Repeat("€", 100_000))
	require.Less(t, w.Body.Len(), 2*maxReason)
}
