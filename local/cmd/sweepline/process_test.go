package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// binary builds sweepline once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sweepline-test-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "sweepline")
	out, err := exec.Command("go", "build", "-o", file, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return file, nil
})

// process is `sweepline up` as a user runs it.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	head string // what it printed until it was ready
}

func up(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return upWith(t, nil, dir, args...)
}

// upWith is up with an environment.
func upWith(t *testing.T, env []string, dir string, args ...string) *process {
	t.Helper()
	file, err := binary()
	require.NoError(t, err)
	p := &process{t: t}
	p.cmd = exec.Command(file, append([]string{
		"up", "--data-dir", dir, "--port", "0", "--broker-port", "0", "--trading-port", "0", "--admin-port", "0", "--delay", "500ms",
	}, args...)...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		p.head += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "Running") {
			break
		}
	}
	found := regexp.MustCompile(`Dashboard +(http://\S+)`).FindStringSubmatch(p.head)
	require.NotNil(t, found, p.head)
	p.url = found[1]
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return p
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()
}

func (p *process) client() *api.Client {
	c, err := api.New(p.url, "")
	if err != nil {
		p.t.Error(err)
	}
	return c
}

func (p *process) types(ctx context.Context, id string) map[string]int {
	events, err := p.client().Timeline(ctx, id)
	if err != nil {
		return nil
	}
	n := map[string]int{}
	for _, e := range events {
		n[e.Type]++
	}
	return n
}

// TestKillNineInTheMiddleOfTwentyJobs is the promise of the README: whatever
// was answered with 202 is completed after a restart, once.
func TestKillNineInTheMiddleOfTwentyJobs(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"embedded": nil, "servers": {"--servers"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "servers" {
				servertest.Redis(t) // skip, or fail, where there are none
				servertest.Postgres(t)
			}
			dir, err := os.MkdirTemp("", "sweepline-test-")
			require.NoError(t, err)
			require.NoError(t, os.Chmod(dir, 0o755))
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			p := up(t, dir, args...)
			var ids []string
			for range 20 {
				a, err := submit(t.Context(), p.client(), job.Sweep{
					Ticker: "SMI", FastRange: [2]int{5, 20}, SlowRange: [2]int{20, 60}, Step: 5, MinTrades: 10, StrategyType: job.EMA,
				})
				require.NoError(t, err)
				ids = append(ids, a.JobID)
			}
			// In the middle: some are done, some run, some stand in line.
			require.Eventually(t, func() bool { return p.types(t.Context(), ids[0])[event.JobNotified] == 1 }, time.Minute, 5*time.Millisecond)
			p.kill()

			p = up(t, dir, args...)
			for _, id := range ids {
				require.Eventually(t, func() bool { return p.types(t.Context(), id)[event.JobNotified] == 1 }, 2*time.Minute, 20*time.Millisecond,
					"job %s", id)
				j, err := p.client().Job(t.Context(), id)
				require.NoError(t, err)
				require.Equal(t, job.Completed, j.Status)
				require.Equal(t, 35, j.Metrics.Combinations)
				n := p.types(t.Context(), id)
				require.Equal(t, 1, n[event.SweepCompleted])
				require.Equal(t, 1, n[event.JobCompleted])
			}
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
			require.NoError(t, p.cmd.Wait())
			told := notifications(t, dir)
			require.Len(t, told, 20)
			twice := 0
			for _, n := range told {
				twice += n - 1
			}
			// Between the telling and its being written down nobody can know: who
			// is told at the very instant of the kill may be told again.
			require.LessOrEqual(t, twice, 1)
		})
	}
}

// A message that was being sent when the process was killed goes out again, since nobody
// knows whether it arrived, and is marked so: on embedded stores at once, whose claims
// are in files; with a Redis that lasts after its lease, which notify's tests see.
func TestKillNineWhileAMessageIsSent(t *testing.T) {
	t.Parallel()
	sending, posts := make(chan struct{}, 10), make(chan int, 2)
	slack := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		sending <- struct{}{}
		select {
		case status := <-posts:
			w.WriteHeader(status)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(slack.Close)
	dir := t.TempDir()
	p := upWith(t, []string{"SLACK_WEBHOOK_URL=" + slack.URL}, dir)
	a, err := submit(t.Context(), p.client(), job.Sweep{
		Ticker: "SMI", FastRange: [2]int{5, 20}, SlowRange: [2]int{20, 60}, Step: 5, MinTrades: 10, StrategyType: job.EMA,
	})
	require.NoError(t, err)
	<-sending
	p.kill()
	posts <- http.StatusServiceUnavailable // which says nothing about the first
	posts <- http.StatusOK

	p = upWith(t, []string{"SLACK_WEBHOOK_URL=" + slack.URL}, dir)
	<-sending
	<-sending
	var again any
	require.Eventually(t, func() bool {
		events, err := p.client().Timeline(t.Context(), a.JobID)
		for _, e := range events {
			if e.Type == event.JobNotified {
				again = e.Data["again"]
			}
		}
		return err == nil && again != nil
	}, time.Minute, 20*time.Millisecond)
	require.Equal(t, true, again)
	require.Empty(t, sending)
	left, err := os.ReadDir(filepath.Join(dir, "sending"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// notifications counts the notification lines of both runs by job.
func notifications(t *testing.T, dir string) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, name := range []string{"sweepline.log.1", "sweepline.log"} {
		f, err := os.Open(filepath.Join(dir, name))
		require.NoError(t, err)
		defer func() { _ = f.Close() }()
		for dec := json.NewDecoder(f); ; {
			var line struct {
				Msg string `json:"msg"`
				ID  string `json:"job_id"`
			}
			if err := dec.Decode(&line); err != nil {
				break // the end, or the line that the kill tore
			}
			if line.Msg == "Notification" {
				n[line.ID]++
			}
		}
	}
	return n
}

// command runs sweepline once and gives its output, error output and exit code.
func command(t *testing.T, url string, args ...string) (string, string, int) {
	t.Helper()
	return commandIn(t, []string{"SWEEPLINE_URL=" + url}, args...)
}

// commandIn is command with an environment.
func commandIn(t *testing.T, env []string, args ...string) (string, string, int) {
	t.Helper()
	file, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(file, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestCommands(t *testing.T) {
	t.Parallel()
	p := up(t, t.TempDir())
	out, _, code := command(t, p.url, "submit", "--ticker", "DAX", "--fast", "5:20", "--slow", "20:60", "--watch")
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "COMPLETED")
	require.Contains(t, out, "SHARPE")
	id := regexp.MustCompile(`Job +(\S+)`).FindStringSubmatch(out)[1]

	out, _, code = command(t, p.url, "jobs", "--status", "completed", "--json")
	require.Equal(t, exitDone, code)
	var list api.JobPage
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	require.Len(t, list.Jobs, 1)
	require.Equal(t, id, list.Jobs[0].JobID)

	out, _, code = command(t, p.url, "job", id)
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "sweep.submitted")

	out, _, code = command(t, p.url, "results", id, "--csv")
	require.Equal(t, exitDone, code)
	require.Equal(t, 36, strings.Count(out, "\n"))

	out, _, code = command(t, p.url, "results", id, "--top", "3", "--sort", "sharpe", "--where", "trades>=1", "-o", "json")
	require.Equal(t, exitDone, code)
	var rows []job.Row
	require.NoError(t, json.Unmarshal([]byte(out), &rows))
	require.Len(t, rows, 3)
	require.GreaterOrEqual(t, rows[0].SharpeRatio, rows[2].SharpeRatio)
	out, _, code = command(t, p.url, "results", id, "--where", "trades<0", "-o", "json")
	require.Equal(t, exitDone, code)
	require.JSONEq(t, "[]", out)
	_, errs, code := command(t, p.url, "results", id, "--where", "trades")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "such as trades>=30")

	_, errs, code = command(t, p.url, "cancel", id)
	require.Equal(t, exitFailed, code, "it has ended")
	require.NotEmpty(t, errs)

	_, errs, code = command(t, p.url, "job", job.NewID())
	require.Equal(t, exitFailed, code)
	require.NotEmpty(t, errs)
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"unknown command": {"sumbit"},
		"unknown flag":    {"jobs", "--colour"},
		"missing flag":    {"submit"},
		"missing id":      {"job"},
		"two tickers":     {"submit", "--ticker", "DAX", "--tickers", "SMI"},
		"odd label":       {"submit", "--ticker", "DAX", "--label", "a b"},
		"empty key":       {"submit", "--ticker", "DAX", "--idempotency-key", ""},
		"no file":         {"submit", "-f", "/does/not/exist"},
		"file and flag":   {"submit", "-f", "-", "--step", "1"},
		"token of what":   {"schedule-token", "weekly", "--tenant", "acme"},
		"token unsigned":  {"schedule-token", "sweepline/weekly", "--tenant", "acme"},
		"address of none": {"submit", "--ticker", "DAX", "--notify-url", "http://hooks.example.com/"},
		"key of nothing":  {"notify-key", "acme"},
		"bad sort":        {"jobs", "--sort", "best"},
		"bad range":       {"submit", "--ticker", "DAX", "--fast", "10-50"},
		"broken rule":     {"submit", "--ticker", "DAX", "--fast", "50:10"},
		"bad status":      {"jobs", "--status", "done"},
		"bad probability": {"simulator", "--lose-callbacks", "2"},
		"no config":       {"broker", "--config", "/does/not/exist"},
		"no port":         {"up", "--port", "99999"},
		"no topic":        {"help", "foo"},
		"no shell":        {"completion", "foo"},
		"none below it":   {"templates", "foo"},
		"no limit":        {"jobs", "--limit", "0"},
		"bad since":       {"jobs", "--since", "soon"},
		"no server":       {"up", "--server", "http://localhost:1"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := command(t, "http://127.0.0.1:1", args...)
			require.Equal(t, exitUsage, code, errs)
			require.Empty(t, out)
			require.Contains(t, errs, "--help")
		})
	}
	_, errs, code := command(t, "http://127.0.0.1:1", "jobs")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "sweepline up", "the error says what to do")
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"up", "--help"}, {"submit", "--help"}, {"version"}, {"--version"}, {"version", "-o", "json"}, {"help", "exit-codes"}, {"help", "broker", "status"}, {"templates"}} {
		out, errs, code := command(t, "", args...)
		require.Equal(t, exitDone, code, errs)
		require.NotEmpty(t, out)
	}
}
