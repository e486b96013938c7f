package runner_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/notify"
	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// forgetful is the claims of a process whose Redis ends with it.
func forgetful(t *testing.T) notify.Guard {
	t.Helper()
	o, err := redis.ParseURL(servertest.Miniredis(t))
	require.NoError(t, err)
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	c, err := once.New(client, client, "test:")
	require.NoError(t, err)
	return pinged{c, client}
}

type pinged struct {
	*once.Once
	client *redis.Client
}

func (p pinged) Ping(ctx context.Context) error { return p.client.Ping(ctx).Err() }

// What a process had begun to send is known to the next one, wherever it was killed.
func TestUnfinishedMessagesOutliveTheProcess(t *testing.T) {
	const (
		id    = "0195e0a8-6e2c-7e41-8d3c-2f3a4b5c6d7e"
		key   = "notify/" + id + "/job/slack"
		keep  = time.Hour
		lease = time.Minute
		note  = "2026-01-02T03:04:05Z"
	)
	dir := t.TempDir()
	start := func() *runner.Sending {
		s, err := runner.OpenSending(dir, forgetful(t), keep)
		require.NoError(t, err)
		return s
	}
	claim := func(s *runner.Sending, want once.Claim, wantNote string) {
		t.Helper()
		got, n, err := s.ClaimNoted(t.Context(), key, lease)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, wantNote, n)
	}
	claim(start(), once.Won, "") // killed while it sends

	s := start()
	claim(s, once.Again, "")
	claim(s, once.Held, "")
	require.NoError(t, s.Release(t.Context(), key)) // it was not sent this time
	claim(s, once.Again, "")
	claim(start(), once.Again, "") // killed again

	s = start()
	claim(s, once.Again, "")
	require.NoError(t, s.MarkDone(t.Context(), key, note, keep)) // killed before that is told to anybody

	s = start()
	claim(s, once.Done, note)
	claim(s, once.Done, note)
	told, err := event.NewNotified(event.Notified{Header: job.Header{JobID: id, TenantID: "acme"}, Channel: "slack", NotifiedAt: time.Now()})
	require.NoError(t, err)
	require.NoError(t, s.Stored(told))
	files := func() []os.DirEntry {
		entries, err := os.ReadDir(filepath.Join(dir, "sending"))
		require.NoError(t, err)
		return entries
	}
	require.Empty(t, files())

	s = start()
	claim(s, once.Won, "")
	require.NoError(t, s.Release(t.Context(), key)) // nobody has sent it
	require.Empty(t, files())
	claim(s, once.Won, "")
	require.Len(t, files(), 1)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sending", "folder"), 0o700)) // somebody else's
	start()
	require.NoError(t, os.Remove(filepath.Join(dir, "sending", "folder")))
	long := time.Now().Add(-2 * keep)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "sending", files()[0].Name()), long, long))
	start()
	require.Empty(t, files(), "what no redrive can reach is not kept")
}
