//go:build linux

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFrontPassesOverWhatDoesNotListen: a request goes to the next target, whole,
// and is never sent twice to one that took it.
func TestFrontPassesOverWhatDoesNotListen(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	alive := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		body, _ := io.ReadAll(r.Body)
		if string(body) == "abort" {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(alive.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	front := httptest.NewServer(forward(newRotation(gone.Listener.Addr().String(), alive.Listener.Addr().String())))
	t.Cleanup(front.Close)
	for range 4 {
		resp, err := http.Post(front.URL, "text/plain", strings.NewReader("hello"))
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.Equal(t, "hello", string(body))
	}
	require.EqualValues(t, 4, calls.Load())
	resp, err := http.Post(front.URL, "text/plain", strings.NewReader("abort"))
	require.NoError(t, err)
	_ = resp.Body.Close()
	require.Equal(t, http.StatusBadGateway, resp.StatusCode)
	require.EqualValues(t, 5, calls.Load())
}
