package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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

// TestEndedBySignals: what ends the command without its doing is what a shell makes an exit
// code of that help has.
func TestEndedBySignals(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&watched{status: job.Running})
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	file, err := binary()
	require.NoError(t, err)
	ended := func(cmd *exec.Cmd, by syscall.Signal) {
		t.Helper()
		_ = cmd.Wait()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		require.Equal(t, by, status.Signal())
		out, _, _ := command(t, "", "help", "exit-codes")
		require.Contains(t, out, fmt.Sprintf("\n  %d  ", exitSignal+int(by)))
	}
	cmd := exec.Command(file, "watch", idA, "--server", server.URL)
	var errs said
	cmd.Stderr = &errs
	require.NoError(t, cmd.Start())
	errs.wait(t, "running")
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	ended(cmd, syscall.SIGHUP)

	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	cmd = exec.Command(file, "--help")
	cmd.Stdout = w
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	ended(cmd, syscall.SIGPIPE)
}

// TestInterruptedAgain: a second Ctrl-C ends a command that the first one does not, as one
// that reads what nobody writes.
func TestInterruptedAgain(t *testing.T) {
	t.Parallel()
	file, err := binary()
	require.NoError(t, err)
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	cmd := exec.Command(file, "submit", "-f", pipe)
	require.NoError(t, cmd.Start())
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // from now on it reads
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close(); _ = cmd.Process.Kill() })
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	late, tick := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for sent := 0; ; {
		select {
		case <-ended:
			status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
			require.Equal(t, syscall.SIGINT, status.Signal())
			require.GreaterOrEqual(t, sent, 2)
			return
		case <-tick.C:
			_ = cmd.Process.Signal(syscall.SIGINT)
			sent++
		case <-late:
			require.Fail(t, "it goes on")
		}
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
	_, errs, _ = commandIn(t, []string{"SWEEPLINE_URL="}, "watch", idA, "--server", server.URL)
	require.Contains(t, errs, "Run it again with: sweepline retry "+idA+" --server "+server.URL+"\n")
	_, _, code = command(t, "http://127.0.0.1:1", "cancel", idA)
	require.Equal(t, exitFailed, code)
}

// TestCancelledIsNotFailed: a job that was cancelled is told as such, in each line.
func TestCancelledIsNotFailed(t *testing.T) {
	t.Parallel()
	var both atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, shown := "timeout", "FAILED"
		if strings.Contains(r.URL.Path, idA) || both.Load() {
			code, shown = "cancelled", "CANCELLED"
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/stream"):
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write([]byte(`data: {"job_id":"` + idA + `","status":"FAILED","display_status":"` + shown + `"}` + "\n\n"))
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/trading-sweep"):
			_, _ = w.Write([]byte(`{"group_id":"` + idA + `","jobs":[{"job_id":"` + idA + `","ticker":"DAX"},{"job_id":"` + idB + `","ticker":"SMI"}]}`))
		case r.URL.Path == "/api/jobs":
			_, _ = w.Write([]byte(`{"jobs":[]}`))
		default:
			_, _ = w.Write([]byte(`{"job_id":"` + idA + `","status":"FAILED","error_code":"` + code + `"}`))
		}
	}))
	t.Cleanup(server.Close)
	_, errs, code := command(t, server.URL, "watch", idA)
	require.Equal(t, exitJobFailed, code)
	require.Equal(t, "cancelled\nsweepline: job "+idA+" was cancelled\nRun it again with: sweepline retry "+idA+"\n", errs)
	group := []string{"submit", "--tickers", "DAX,SMI", "-w"}
	_, errs, code = command(t, server.URL, group...)
	require.Equal(t, exitJobFailed, code)
	require.Contains(t, errs, "1 of 2: DAX\ncancelled\n2 of 2: SMI\nfailed\n")
	require.Contains(t, errs, "sweepline: 1 job of the group failed, 1 cancelled\nRun them again with: sweepline retry --group "+idA+" --status failed,cancelled\n")
	both.Store(true)
	_, errs, _ = command(t, server.URL, group...)
	require.Contains(t, errs, "sweepline: 2 jobs of the group cancelled\nRun them again with: sweepline retry --group "+idA+" --status cancelled\n")
}

// TestHintsNameTheJob: what is said to be given next can be given as it is.
func TestHintsNameTheJob(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/dead-letters/redrive") {
			_, _ = w.Write([]byte(`{"dead_letters":[{"id":"a","outcome":"done","job_status":"FAILED","job_id":"` + idA + `"},` +
				`{"id":"b","outcome":"done","job_status":"FAILED","job_id":"; rm x"}]}`))
			return
		}
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"error":"the job has ended","code":"conflict"}`))
	}))
	t.Cleanup(server.Close)
	for _, act := range []string{"cancel", "retry"} {
		_, errs, code := command(t, server.URL+"/desk", act, idA)
		require.Equal(t, exitFailed, code)
		require.Equal(t, "sweepline: the job has ended\nIts state: sweepline job "+idA+"\n", errs)
	}
	_, errs, _ := command(t, server.URL, "cancel", "--status", "queued")
	require.Equal(t, "sweepline: the job has ended\n", errs, "of no job in particular")
	out, errs, code := command(t, server.URL, "redrive", "a", "b")
	require.Equal(t, exitDone, code, errs)
	require.Contains(t, out, "a changes nothing: its job has ended. Run the sweep again with: sweepline retry "+idA+"\nb changes nothing: its job has ended.\n")
}

// TestNotASweepline: what is no answer of a sweepline is not asked for again and again.
func TestNotASweepline(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(server.Close)
	_, errs, code := command(t, server.URL, "submit", "--ticker", "DAX", "--fast", "5:20", "--slow", "20:60")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "invalid response: no job id (is this a sweepline server?)")
	require.Equal(t, 1, asked)
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

	// A browser that stays is not waited for, and nobody sees a password.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(script+"exec /bin/sleep 20\n"), 0o700))
	began := time.Now()
	env[0] = strings.Replace(env[0], "http://", "http://me:secret@", 1)
	_, errs, code = commandIn(t, append(env, "DISPLAY=:0"), "open", idA)
	require.Equal(t, exitDone, code, errs)
	require.Less(t, time.Since(began), 15*time.Second)
	opened, err = os.ReadFile(dir + "/opened")
	require.NoError(t, err)
	require.NotContains(t, string(opened)+errs, "secret")
}
