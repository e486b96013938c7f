package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What was done is told where the next fails, and what a server says cannot steer the
// terminal.
func TestTriggersOfAServerThatFails(t *testing.T) {
	t.Parallel()
	triggers := `[{"namespace":"n","broker":"b","name":"one"},{"namespace":"n","broker":"b","name":"two"}]`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			_, _ = w.Write([]byte(`{"triggers":` + triggers + `}`))
		case strings.Contains(r.URL.Path+r.URL.RawQuery, "two"):
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			_, _ = w.Write([]byte(`{"trigger":"n/b/one\u001b[31m","message":"Paused \u001b[31m"}`))
		}
	}))
	t.Cleanup(server.Close)
	for form, said := range map[string]string{formJSON: `"message":"Paused `, formTable: ": Paused "} {
		out, _, code := command(t, server.URL, "pause", "one", "two", "-o", form)
		require.Equal(t, exitFailed, code)
		require.Contains(t, out, said, form)
		require.NotContains(t, out, "\x1b")
	}
	out, errs, code := command(t, server.URL, "replay", "--trigger", "one", "--since", "1h")
	require.Equal(t, exitDone, code, errs)
	require.NotContains(t, out, "\x1b")
	require.Contains(t, out, "n/b/one")
}

func TestNoTriggers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	t.Cleanup(server.Close)
	out, _, code := command(t, server.URL, "triggers", "-o", "json")
	require.Equal(t, exitDone, code)
	require.JSONEq(t, "[]", out)
	_, errs, code := command(t, server.URL, "pause", "store")
	require.Equal(t, exitFailed, code, "as with a job that is not there")
	require.Contains(t, errs, "the broker has no triggers")
}
