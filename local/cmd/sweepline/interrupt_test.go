package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
)

// TestInterrupted: Ctrl-C ends the watching and not the job, and says so.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&watched{status: job.Running})
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	file, err := binary()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		stop func(*exec.Cmd, *os.File)
		code int
	}{
		"Ctrl-C":  {func(_ *exec.Cmd, terminal *os.File) { _, _ = terminal.Write([]byte{3}) }, 130},
		"SIGTERM": {func(cmd *exec.Cmd, _ *os.File) { _ = cmd.Process.Signal(syscall.SIGTERM) }, 143},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(file, "watch", idA, "--server", server.URL)
			cmd.Env = append(os.Environ(), "TERM=xterm")
			terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 80})
			require.NoError(t, err)
			var out said
			done := make(chan struct{})
			go func() {
				defer close(done)
				b := make([]byte, 4096)
				for {
					n, err := terminal.Read(b)
					_, _ = out.Write(b[:n])
					if err != nil {
						return
					}
				}
			}()
			out.wait(t, "running")
			c.stop(cmd, terminal)
			_ = cmd.Wait()
			<-done
			require.Equal(t, c.code, cmd.ProcessState.ExitCode(), out.String())
			require.Contains(t, out.String(), "The job goes on. Follow it with: sweepline watch "+idA+" --server "+server.URL)
			require.NotContains(t, out.String(), "context canceled")
			require.NotContains(t, out.String(), "does not answer")
		})
	}
}

// TestWatchedJobFailed: scripts tell a job that failed from a command that did.
func TestWatchedJobFailed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&watched{status: job.Failed})
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	_, errs, code := command(t, server.URL, "watch", idA)
	require.Equal(t, exitJobFailed, code)
	require.Contains(t, errs, "failed")
	_, _, code = command(t, "http://127.0.0.1:1", "cancel", idA)
	require.Equal(t, exitFailed, code)
}

// TestOpen: the browser is given the address of the page, and nothing else.
func TestOpen(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	dir := t.TempDir()
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" > " + dir + "/opened\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(script), 0o700))
	env := []string{"SWEEPLINE_URL=" + server.URL, "PATH=" + dir, "DISPLAY=", "WAYLAND_DISPLAY=", "BROWSER="}
	out, _, code := commandIn(t, env, "open", idA)
	require.Equal(t, exitDone, code)
	require.Equal(t, server.URL+"/jobs/"+idA+"\n", out, "there is nothing to open it on")
	require.NoFileExists(t, dir+"/opened")
	out, errs, code := commandIn(t, append(env, "DISPLAY=:0"), "open", idA)
	require.Equal(t, exitDone, code)
	require.Empty(t, out)
	require.Contains(t, errs, "Opening")
	opened, err := os.ReadFile(dir + "/opened")
	require.NoError(t, err)
	require.Equal(t, server.URL+"/jobs/"+idA, strings.TrimSpace(string(opened)))
}
