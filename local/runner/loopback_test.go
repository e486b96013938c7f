package runner

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A handler is answered for as over a socket.
func TestLoopbackIsHTTP(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			w.Header().Set("X-Host", r.Host)
			w.Header().Set("X-In", r.Header.Get("X-In"))
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.Copy(w, r.Body)
		case "/silent":
		case "/panic":
			panic("x")
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/hang":
			<-release
		}
	})
	defer close(release)
	over := httptest.NewServer(h)
	defer over.Close()
	local := newLoopback(http.DefaultTransport)
	defer local.close()
	local.handle("step:1", h)
	for _, client := range []struct {
		base string
		rt   http.RoundTripper
	}{{over.URL, http.DefaultTransport}, {"http://step:1", local}, {over.URL, local}} {
		do := func(ctx context.Context, path string) (*http.Response, error) {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, client.base+path, strings.NewReader("body"))
			require.NoError(t, err)
			r.Header.Set("X-In", "in")
			return client.rt.RoundTrip(r)
		}
		resp, err := do(t.Context(), "/echo")
		require.NoError(t, err)
		require.Equal(t, http.StatusTeapot, resp.StatusCode)
		require.Equal(t, "in", resp.Header.Get("X-In"))
		require.Equal(t, strings.TrimPrefix(client.base, "http://"), resp.Header.Get("X-Host"))
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "body", string(body))
		resp, err = do(t.Context(), "/silent")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
		for _, path := range []string{"/panic", "/abort"} {
			_, err = do(t.Context(), path)
			require.Error(t, err, path)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = do(ctx, "/hang")
		require.ErrorIs(t, err, context.Canceled)
	}
}
