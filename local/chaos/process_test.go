//go:build linux

package main

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func sleeper(t *testing.T) *process {
	t.Helper()
	log, err := openLog(t.TempDir(), "sleeper")
	require.NoError(t, err)
	p := &process{
		name: "sleeper", log: log,
		command: func() *exec.Cmd { return exec.Command("sleep", "600") },
	}
	t.Cleanup(func() {
		p.down(syscall.SIGKILL)
		_ = log.Close()
	})
	require.NoError(t, p.up())
	return p
}

// TestProcessComesBack: one that ends by itself is started again and counted; one
// that is taken down stays down.
func TestProcessComesBack(t *testing.T) {
	t.Parallel()
	p := sleeper(t)
	first := p.pid()
	require.NotZero(t, first)
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL)) // nobody took it down
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, poll(ctx, 10*time.Millisecond, func(context.Context) error {
		if pid := p.pid(); pid == 0 || pid == first {
			return errors.New("not back yet")
		}
		return nil
	}))
	p.mu.Lock()
	require.Len(t, p.exits, 1)
	p.mu.Unlock()

	p.down(syscall.SIGTERM)
	require.Zero(t, p.pid())
	require.Len(t, p.exits, 1, "it was told to end")
	require.Zero(t, p.hung)
}

// TestFrozenProcessEndsOnSIGTERM: signals to a stopped process wait until it goes
// on.
func TestFrozenProcessEndsOnSIGTERM(t *testing.T) {
	t.Parallel()
	p := sleeper(t)
	p.signal(syscall.SIGSTOP)
	p.down(syscall.SIGTERM)
	require.Zero(t, p.pid())
	require.Zero(t, p.hung)
	require.NoError(t, p.up())
	require.NotZero(t, p.pid())
}
