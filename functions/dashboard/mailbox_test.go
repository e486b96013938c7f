package dashboard_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/dashboard"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/mailbox"
)

// withMailbox is a dashboard of two tenants with a mailbox.
func withMailbox(t *testing.T) (*mailbox.Box, http.Handler) {
	t.Helper()
	d := jobstest.New().Deps(t, "acme:aaaaaaaaaaaaaaaa,globex:gggggggggggggggg")
	d.DeadLetters = nil
	s, err := jobs.New(jobs.Config{Heartbeat: time.Second, MaxStreams: 2, SessionSecret: "a secret of the tests"}, d)
	require.NoError(t, err)
	box := &mailbox.Box{}
	_, h := serve(t, dashboard.Config{}, s, dashboard.Deps{Mailbox: box})
	return box, h
}

func TestMailboxOfHostileMessages(t *testing.T) {
	t.Parallel()
	box, h := withMailbox(t)
	const evil = `<script>alert(1)</script>`
	box.Put(mailbox.Message{
		JobID: "j1", TenantID: "acme", Subject: evil, Text: evil, PictureSrc: "cid:x@y", Picture: func(context.Context) []byte { return []byte("PNG") },
		HTML:  "<html><head></head><body>" + evil + `<img src="cid:x@y"></body></html>`,
		Slack: []byte(`{"text": "` + evil + `", "blocks": [{"type": "header", "text": {"text": "` + evil + `"}}, {"type": "context", "elements": [{"text": "fine"}]}, {"type": "actions", "elements": [{"text": {"text": "go"}, "url": "javascript:alert(1)"}]}, {"type": "video"}]}`),
	})
	acme := []string{"X-API-Key", "aaaaaaaaaaaaaaaa"}
	list := jobstest.Call(h, "GET", "/mailbox", acme...)
	require.Equal(t, 200, list.Code)
	require.Contains(t, list.Body.String(), `href="/mailbox/j1"`)
	require.Contains(t, list.Body.String(), `<a href="/mailbox" aria-current="page">Mailbox</a>`)
	page := jobstest.Call(h, "GET", "/mailbox/j1", acme...)
	require.Equal(t, 200, page.Code)
	for _, body := range []string{list.Body.String(), page.Body.String()} {
		require.NotContains(t, body, "<script>alert")
		require.NotContains(t, body, `href="javascript:`)
	}
	require.Contains(t, page.Body.String(), "fine")
	require.Contains(t, page.Header().Get("Content-Security-Policy"), "frame-src 'self'")

	// The mail itself is the only page that is not ours: it is shut in whether
	// it stands in the frame or alone.
	letter := jobstest.Call(h, "GET", "/mailbox/j1/mail", acme...)
	require.Equal(t, 200, letter.Code)
	policy := letter.Header().Values("Content-Security-Policy")
	require.Len(t, policy, 1)
	require.True(t, strings.HasPrefix(policy[0], "sandbox "))
	for _, never := range []string{"allow-scripts", "allow-same-origin", "allow-forms", "script-src", "allow-top"} {
		require.NotContains(t, policy[0], never)
	}
	require.Contains(t, letter.Body.String(), `<img src="data:image/png;base64,UE5H">`)
	require.Equal(t, "nosniff", letter.Header().Get("X-Content-Type-Options"))
}

func TestAMailboxIsItsTenants(t *testing.T) {
	t.Parallel()
	box, h := withMailbox(t)
	box.Put(mailbox.Message{JobID: "j1", TenantID: "acme", Subject: "secret", HTML: "secret"})
	for _, path := range []string{"/mailbox", "/mailbox/j1", "/mailbox/j1/mail"} {
		foreign := jobstest.Call(h, "GET", path, "X-API-Key", "gggggggggggggggg")
		require.NotContains(t, foreign.Body.String(), "secret")
		nobody := jobstest.Call(h, "GET", path)
		require.Equal(t, 401, nobody.Code)
		require.NotContains(t, nobody.Body.String(), "secret")
	}
	require.Equal(t, 404, jobstest.Call(h, "GET", "/mailbox/j1", "X-API-Key", "gggggggggggggggg").Code)
	_, _, without := setup(t, "")
	require.Equal(t, 404, jobstest.Call(without, "GET", "/mailbox").Code)
	require.NotContains(t, jobstest.Call(without, "GET", "/").Body.String(), "/mailbox")
}
