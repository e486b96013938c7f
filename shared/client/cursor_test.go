package client_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/client"
)

// Cursors become parts of addresses and of commands that people paste.
func TestCursorsAreBase64URL(t *testing.T) {
	t.Parallel()
	answer, asked := "", 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, "")
	require.NoError(t, err)
	ctx := t.Context()
	for cursor, good := range map[string]bool{
		"": true, "AZaz09-_": true, "$(id)": false, "a b": false, "a;b": false, "a\n": false, "\x1b[2J": false, "a=": false, "a+/": false,
		strings.Repeat("a", 5000): false,
	} {
		text, err := json.Marshal(map[string]string{"next_cursor": cursor})
		require.NoError(t, err)
		answer = string(text)
		_, listing := c.Jobs(ctx, client.JobFilter{})
		_, acting := c.Many(ctx, client.Bulk{Act: client.ActRetry})
		_, letters := c.DeadLetters(ctx, client.DeadLetterFilter{})
		_, onLetters := c.ManyLetters(ctx, client.BulkLetters{Act: client.ActRedrive})
		for _, err := range []error{listing, acting, letters, onLetters} {
			if good {
				require.NoError(t, err, cursor)
			} else {
				require.ErrorIs(t, err, client.ErrInvalidResponse, cursor)
			}
		}
	}

	asked = 0
	for _, f := range []client.JobFilter{{Prefix: "0190a6f0"}, {Status: nil, Ticker: "DAX", Sort: client.BestFirst}} {
		_, err = c.Many(ctx, client.Bulk{Act: client.ActCancel, JobFilter: f})
		require.ErrorContains(t, err, "take no Prefix")
	}
	require.Zero(t, asked, "it would act on more jobs than were meant")
}
