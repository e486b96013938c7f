package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

// onTerminal runs sweepline in front of a terminal of so many columns.
func onTerminal(t *testing.T, columns int, env []string, args ...string) string {
	t.Helper()
	file, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(file, args...)
	cmd.Env = append(append(os.Environ(), "TERM=xterm", "NO_COLOR="), env...)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: uint16(columns)})
	require.NoError(t, err)
	out := drain(terminal)
	require.NoError(t, cmd.Wait(), out)
	require.NoError(t, terminal.Close())
	return strings.ReplaceAll(out, "\r\n", "\n")
}

var smallSweep = job.Sweep{Ticker: "DAX", FastRange: [2]int{5, 20}, SlowRange: [2]int{20, 60}, Step: 5, MinTrades: 10, StrategyType: job.SMA}

func TestOnATerminal(t *testing.T) {
	t.Parallel()
	p := up(t, t.TempDir(), "--delay", "4s")
	a, err := submit(t.Context(), p.client(), smallSweep)
	require.NoError(t, err)
	at := "SWEEPLINE_URL=" + p.url

	var listed api.JobPage // a list knows how far a job is, as a look at it does
	require.Eventually(t, func() bool {
		out, _, _ := command(t, p.url, "jobs", "--json")
		return json.Unmarshal([]byte(out), &listed) == nil && len(listed.Jobs) == 1 && listed.Jobs[0].Progress > 0
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, job.Running, listed.Jobs[0].Status)
	require.Less(t, listed.Jobs[0].Progress, 100)
	require.NotZero(t, listed.Jobs[0].ElapsedSeconds)

	out := onTerminal(t, 80, []string{at}, "watch", a.JobID)
	frames := strings.Split(out, "\r")
	require.Greater(t, len(frames), 3, "the bar is drawn over and over: %q", out)
	require.Regexp(t, `running .*\|.*%`, out)
	require.Contains(t, out, "\x1b[32mCOMPLETED\x1b[0m", "green")
	require.Contains(t, out, "SHARPE", "the table follows")
	for _, frame := range regexp.MustCompile(`[\r\n]`).Split(out, -1) {
		require.LessOrEqual(t, text.StringWidthWithoutEscSequences(frame), 80)
	}

	for columns, has := range map[int]bool{120: true, 64: false} {
		out = onTerminal(t, columns, []string{at}, "jobs")
		require.Contains(t, out, a.JobID[:8])
		require.Equal(t, has, strings.Contains(out, a.JobID), "a short id is enough")
		require.Equal(t, has, strings.Contains(out, "STRATEGY"), out)
		for line := range strings.Lines(out) {
			require.LessOrEqual(t, text.StringWidthWithoutEscSequences(strings.TrimRight(line, "\n")), columns)
		}
	}
	for _, env := range []string{"NO_COLOR=1", "TERM=dumb"} {
		require.NotContains(t, onTerminal(t, 100, []string{at, env}, "job", a.JobID), "\x1b", env)
	}
	plain, errs, code := command(t, p.url, "watch", a.JobID)
	require.Equal(t, exitDone, code)
	require.NotContains(t, plain, "\x1b", "a pipe is no terminal")
	require.True(t, strings.HasPrefix(errs, "completed\n"), errs) // on a busy machine it may also wait for an answer, and say so
}

func TestFollowJobs(t *testing.T) {
	t.Parallel()
	p := up(t, t.TempDir(), "--delay", "100ms") // shorter than the pulse: jobs come and end between two looks
	file, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(file, "jobs", "--follow", "--json", "--ticker", "dax")
	cmd.Env = append(os.Environ(), "SWEEPLINE_URL="+p.url)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := make(chan change)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			var c change
			if json.Unmarshal(s.Bytes(), &c) != nil {
				return
			}
			lines <- c
		}
	}()
	// Until it is connected, nothing can be new to it: so one is sent after
	// another, until the first is told of.
	other := smallSweep
	other.Ticker = "SMI"
	ended := map[string]job.State{}
	sent := map[string]bool{}
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for len(ended) < 3 {
		select {
		case c, ok := <-lines:
			require.True(t, ok)
			require.Equal(t, "DAX", c.Ticker)
			require.True(t, sent[c.JobID])
			if c.Status.Terminal() {
				require.NotContains(t, ended, c.JobID, "one end is enough")
				ended[c.JobID] = c.Status
			}
		case <-tick.C:
			for _, s := range []job.Sweep{smallSweep, other} {
				a, err := submit(t.Context(), p.client(), s)
				require.NoError(t, err)
				sent[a.JobID] = true
			}
		case <-late:
			require.Fail(t, "no jobs were told of")
		}
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	for range lines { // to its end
	}
	_ = cmd.Wait()
	require.Equal(t, 130, cmd.ProcessState.ExitCode(), "interrupted")
}

func TestMendCommands(t *testing.T) {
	t.Parallel()
	p := up(t, t.TempDir())
	out, _, code := command(t, p.url, "replay", "--trigger", "store", "--since", "1h")
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "sweepline/default/store: Replaying since ")
	out, _, code = command(t, p.url, "replay", "--trigger", "sweepline/default/notify", "--since", "2026-01-31T12:00:00Z", "--json")
	require.Equal(t, exitDone, code)
	require.JSONEq(t, `{"trigger": "sweepline/default/notify", "message": "Replaying since 2026-01-31T12:00:00Z"}`, out)
	_, errs, code := command(t, p.url, "replay", "--trigger", "nobody", "--since", "1h")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "metrics, notify, store, submit", "it says what there is")
	_, errs, code = command(t, p.url, "replay", "--trigger", "store", "--since", "soon")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "since: must be a time")

	for _, form := range allForms {
		out, errs, code = command(t, p.url, "triggers", "-o", form)
		require.Equal(t, exitDone, code, errs)
		require.Contains(t, out, "notify", form)
	}
	out, _, code = command(t, p.url, "pause", "notify", "sweepline/default/store")
	require.Equal(t, exitDone, code)
	require.Equal(t, "sweepline/default/notify: Paused\nsweepline/default/store: Paused\n", out)
	out, _, code = command(t, p.url, "broker", "status")
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "5 triggers, ")
	require.Contains(t, out, "; paused: notify, store")
	_, _, code = command(t, p.url, "resume", "notify", "nobody")
	require.Equal(t, exitFailed, code, "none of them is resumed where one is not there")
	out, _, _ = command(t, p.url, "triggers")
	require.Equal(t, 2, strings.Count(out, "paused"))
	out, _, code = command(t, p.url, "resume", "notify", "store", "-o", "json")
	require.Equal(t, exitDone, code)
	require.Equal(t, 2, strings.Count(out, `"message":"Resumed"`))
	out, _, _ = command(t, p.url, "triggers")
	require.NotContains(t, out, "paused")

	out, _, code = command(t, p.url, "dead-letters")
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "No dead letters")
	out, _, code = command(t, p.url, "redrive", "--all", "--json")
	require.Equal(t, exitDone, code)
	require.JSONEq(t, `{"redriven": [], "job_has_ended": []}`, out)
	_, errs, code = command(t, p.url, "discard", "none")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "sweepline dead-letters")
	_, errs, _ = command(t, p.url, "watch", job.NewID())
	require.Contains(t, errs, "no such job")
	require.NotContains(t, errs, "queued", "there is nothing to draw")
	out, _, _ = command(t, p.url, "jobs")
	require.Contains(t, out, "sweepline submit", "an empty list says what to do")
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, errs, code := command(t, "", "completion", shell)
		require.Equal(t, exitDone, code, errs)
		require.Contains(t, out, "sweepline")
	}
	out, _, _ := command(t, "", "__complete", "jobs", "--status", "")
	require.Contains(t, out, "completed")
	p := up(t, t.TempDir())
	a, err := submit(t.Context(), p.client(), smallSweep)
	require.NoError(t, err)
	out, _, _ = command(t, p.url, "__complete", "job", "")
	require.Contains(t, out, a.JobID+"\tDAX")
	out, _, _ = command(t, p.url, "__complete", "replay", "--trigger", "")
	require.Contains(t, out, "notify\tdelivering\n")
}

func TestTemplatesCommand(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "templates")
	out, _, code := command(t, "", "templates", "write", dir)
	require.Equal(t, exitDone, code)
	require.Contains(t, out, filepath.Join(dir, "mail.html"))
	_, _, code = command(t, "", "templates", "check", dir)
	require.Equal(t, exitDone, code)
	_, errs, code := command(t, "", "templates", "write", dir)
	require.Equal(t, exitFailed, code, "what somebody changed is not written over")
	require.Contains(t, errs, "new folder")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mail.txt"), []byte("one\n{{.Jop}}"), 0o600))
	_, errs, code = command(t, "", "templates", "check", dir)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "mail.txt:2")
}
