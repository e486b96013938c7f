package runner_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
)

func TestSecretsThatAreNoneDoNotStart(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]runner.Config{
		"CALLBACK_SECRET is set but empty": {SecretSet: "set"},
		"CALLBACK_SECRET is too short":     {CallbackSecret: "change-me"},
		"EVENT_SEAL_KEY is set but empty":  {SealKeySet: "set"},
	} {
		cfg.DataDir = t.TempDir()
		_, err := runner.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, want)
	}
}

func TestTheSummarySaysWhoIsLetIn(t *testing.T) {
	t.Parallel()
	l := start(t, runner.Config{})
	require.Contains(t, l.local.Summary(), "open to everyone on this machine, without keys")
	require.Contains(t, l.local.Summary(), l.local.PublicURL+"/mailbox")
}
