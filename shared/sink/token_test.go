package sink_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/sink"
)

func TestSinkIsToldWhoPosts(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	good := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Values("Authorization"); len(got) != 1 || got[0] != "Bearer "+good {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(srv.Close)
	s, err := sink.New(sink.Config{Sink: srv.URL, SinkToken: file, Seals: sealed})
	require.NoError(t, err)
	refused := func() {
		t.Helper()
		var later *sink.Unavailable
		require.ErrorAs(t, s.Send(t.Context(), newEvent("a")), &later, "it is not the event's fault")
		require.Equal(t, http.StatusUnauthorized, later.Status)
	}
	refused() // nothing is mounted
	for _, good = range []string{"first", "exchanged"} {
		require.NoError(t, os.WriteFile(file, []byte(good+"\n"), 0o600))
		if good != "first" {
			refused() // with the one before, at which the file is read again
		}
		require.NoError(t, s.Send(t.Context(), newEvent("a")))
	}
}

func TestSinkWithoutATokenSendsNone(t *testing.T) {
	t.Parallel()
	var header http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { header = r.Header }))
	t.Cleanup(srv.Close)
	for _, file := range []string{"", filepath.Join(t.TempDir(), "missing")} {
		s, err := sink.New(sink.Config{Sink: srv.URL, SinkToken: file, Seals: sealed})
		require.NoError(t, err)
		require.NoError(t, s.Send(t.Context(), newEvent("a")))
		require.NotContains(t, header, "Authorization")
	}
}
