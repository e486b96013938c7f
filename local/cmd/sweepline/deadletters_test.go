package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// Dead letters are acted on as filters find them, and what became of each is told, also
// where a store was away in between.
func TestManyDeadLetters(t *testing.T) {
	t.Parallel()
	var asked []string
	answers := []string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+"?"+r.URL.Query().Encode())
		_, _ = w.Write([]byte(answers[min(len(asked), len(answers))-1]))
	}))
	t.Cleanup(server.Close)
	run := func(args ...string) (string, string, int) { asked = nil; return command(t, server.URL, args...) }

	answers = []string{
		`{"dead_letters":[{"id":"a","outcome":"done"},{"id":"b","outcome":"postponed"}],"next_cursor":"x","retry_after_seconds":1}`,
		`{"dead_letters":[{"id":"b","outcome":"done","job_status":"FAILED","job_id":"` + idA + `"}],"next_cursor":"x"}`,
		`{"dead_letters":[{"id":"c","outcome":"missing"}]}`,
	}
	out, errs, code := run("redrive", "--trigger", "store", "--server", server.URL)
	require.Equal(t, exitDone, code)
	require.Equal(t, []string{"POST /api/dead-letters/redrive?trigger=store", "POST /api/dead-letters/redrive?trigger=store", "POST /api/dead-letters/redrive?cursor=x&trigger=store"}, asked)
	require.Contains(t, out, "2 sent again, 1 not there any more")
	require.Contains(t, out, "b changes nothing: its job has ended. Run the sweep again with: sweepline retry "+idA+" --server "+server.URL+"\n")
	require.Contains(t, errs, "store unavailable; going on in 1s")

	answers = []string{`{"dead_letters":[{"id":"a","outcome":"done"},{"id":"b","outcome":"postponed"},{"id":"c","outcome":"missing"}]}`}
	for range 10 { // in one order
		out, _, _ = run("discard", "a", "b", "c")
		require.Equal(t, "1 discarded, 1 not there any more, 1 not processed: store unavailable\n", out)
	}
	answers = []string{`{"dead_letters":[{"id":"a\u001b[31m\nb","undone":"x"}]}`}
	out, _, _ = run("__complete", "discard", "")
	require.NotContains(t, out, "\x1b")
	answers = []string{`{"dead_letters":[{"id":"a","outcome":"done"},{"id":"c","outcome":"missing"}]}`}
	out, errs, code = run("discard", "a", "c", "--json")
	require.Equal(t, exitFailed, code, "one was named that is not there")
	require.JSONEq(t, `{"discarded":["a"],"missing":["c"]}`, out)
	require.Contains(t, errs, "1 of 2 were not there")

	answers = []string{`{"causes":[{"cause":"0123456789ab","trigger":"store","code":503,"reason":"disk # \u001b[31m full","count":7}],"complete":true}`}
	out, _, code = run("dead-letters", "--group", "--trigger", "store")
	require.Equal(t, exitDone, code)
	require.Equal(t, []string{"GET /api/dead-letters/causes?trigger=store"}, asked)
	require.Contains(t, out, "0123456789ab")
	require.NotContains(t, out, "\x1b")
	for _, args := range [][]string{{"redrive"}, {"discard", "a", "--all"}, {"redrive", "--all", "--trigger", "store"}, {"dead-letters", "--group", "--cause", "x"}} {
		_, _, code = run(args...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, asked)
	}
}

// A reason is what the subscriber said, and not the JSON that it said it in.
func TestReasonText(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"{\"error\":\"tell slack: refused\",\"code\":\"x\"}\n": "tell slack: refused",
		`{"title":"Bad gateway","detail":"upstream is away"}`:  "upstream is away",
		`{"message":"no"}`: "no", `{"title":"only this"}`: "only this",
		`{"error":"cut \"off\" in the mid`: `cut "off" in the mid …`,
		`{"error":{"nested":1}}`:           `{"error":{"nested":1}}`,
		"two\nlines \x1b[31m":              "two lines [31m",
		"plain":                            "plain", "": "",
	} {
		require.Equal(t, want, reasonText(reason))
	}
}
