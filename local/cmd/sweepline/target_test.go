package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// A variable of a shell that is not set must not widen what is done, nor have it done
// elsewhere: nothing is asked of any server.
func TestEmptyValues(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write([]byte(`{"jobs":[]}`))
	}))
	t.Cleanup(server.Close)
	for flag, commands := range map[string][][]string{
		"group": {{"cancel", "--status", "queued"}, {"retry", "--status", "failed"}, {"jobs"}}, "ticker": {{"cancel", "--status", "queued"}, {"submit"}},
		"label": {{"cancel", "--status", "queued"}}, "since": {{"cancel", "--status", "queued"}, {"replay", "--trigger", "store"}},
		"until": {{"cancel", "--status", "queued"}}, "text": {{"cancel", "--status", "queued"}}, "status": {{"cancel", "--ticker", "DAX"}, {"jobs"}},
		"trigger": {{"discard", "--cause", "c"}, {"dead-letters"}, {"replay", "--since", "1h"}}, "cause": {{"redrive", "--trigger", "store"}, {"redrive", "--all"}},
		"server": {{"jobs"}, {"cancel", "--status", "queued"}}, "context": {{"jobs"}}, "key-file": {{"jobs"}},
		"idempotency-key": {{"submit", "--ticker", "DAX"}}, "cursor": {{"jobs"}},
	} {
		for _, words := range commands {
			for _, value := range []string{"", " "} {
				_, errs, code := command(t, server.URL, append(words[:len(words):len(words)], "--"+flag, value)...)
				require.Equal(t, exitUsage, code, "%s --%s %q", words, flag, value)
				require.Contains(t, errs, "--"+flag+" must not be empty")
			}
		}
	}
	for _, words := range [][]string{
		{"cancel", "--ticker", "DAX", "--status", ","}, {"cancel", "--ticker", "DAX", "--label", "weekly,"}, {"cancel", "--status", "queued,", "--ticker", "DAX"},
		{"cancel", ""}, {"cancel", idA, ""}, {"redrive", ""}, {"pause", ""}, {"context", "set", "desk", "--server", server.URL, "--key-file", ""},
	} {
		_, errs, code := command(t, server.URL, words...)
		require.Equal(t, exitUsage, code, words)
		require.Contains(t, errs, "must not be empty")
	}
	require.Zero(t, asked)
	_, errs, code := command(t, server.URL, "jobs", "--json", "--follow=false", "-n", "3", "-l", "a,b")
	require.Equal(t, exitDone, code, errs)
}
