package function_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// streaming holds a request open until it is drained, as an event stream does.
type streaming struct{ drained chan struct{} }

func (f *streaming) Handle(w http.ResponseWriter, _ *http.Request) {
	_ = http.NewResponseController(w).Flush()
	<-f.drained
	_, _ = w.Write([]byte("drained"))
}
func (f *streaming) Drain()                     { close(f.drained) }
func (f *streaming) Stop(context.Context) error { os.Stdout.WriteString("stopped\n"); return nil }

// TestMain lets the test binary be a function's process of its own.
func TestMain(m *testing.M) {
	switch os.Getenv("SERVE_TEST_PROCESS") {
	case "":
		os.Exit(m.Run())
	case "stream":
		function.Main("stream", func(context.Context) (*streaming, error) {
			return &streaming{make(chan struct{})}, nil
		})
	case "events":
		function.Main("events", func(context.Context) (*batchFunc, error) { return &batchFunc{}, nil })
	case "broken":
		function.Main("broken", func(context.Context) (*streaming, error) {
			return nil, errors.New("REDIS_URL is required")
		})
	}
}

func process(t *testing.T, env ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, &out
}

func TestProcessServesDrainsAndStops(t *testing.T) {
	t.Parallel()
	port := strconv.Itoa(servertest.Port(t))
	metrics := strconv.Itoa(servertest.Port(t))
	cmd, out := process(t, "SERVE_TEST_PROCESS=stream", "PORT="+port, "METRICS_PORT="+metrics)
	base := "http://127.0.0.1:" + port
	require.Eventually(t, func() bool {
		resp, err := http.Get(base + "/readyz")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	}, time.Minute, 20*time.Millisecond)

	for at, status := range map[string]int{
		base + "/metrics": http.StatusNotFound, "http://127.0.0.1:" + metrics + "/metrics": http.StatusOK, "http://127.0.0.1:" + metrics + "/readyz": http.StatusOK,
	} {
		resp, err := http.Get(at)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, status, resp.StatusCode, at)
	}

	resp, err := http.Get(base + "/") // answers its header and then holds on
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "drained", body.String())
	require.NoError(t, cmd.Wait(), out)
	require.Contains(t, out.String(), "stopped\n")
	require.Regexp(t, `"function ready","step":"[a-z]+","after_ms":\d+`, out.String())
	for line := range strings.Lines(out.String()) {
		if line != "stopped\n" {
			require.True(t, strings.HasPrefix(line, `{"time":`), "only our own lines: %s", line)
		}
	}
}

func TestProcessEndsWithOneAndNamesTheReason(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"REDIS_URL is required":      {"SERVE_TEST_PROCESS=broken"},
		"EVENT_SEAL_KEY is required": {"SERVE_TEST_PROCESS=events"},
		"EVENT_SEAL_KEY is shorter":  {"SERVE_TEST_PROCESS=events", "EVENT_SEAL_KEY=99999999"},
		"EVENT_SEALS is none of":     {"SERVE_TEST_PROCESS=events", "EVENT_SEALS=99999999"},
		"LOG_LEVEL is not one of":    {"SERVE_TEST_PROCESS=broken", "LOG_LEVEL=loud"},
		"PORT is not a valid":        {"SERVE_TEST_PROCESS=broken", "PORT=99999999"},
	} {
		cmd, out := process(t, env...)
		err := cmd.Wait()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 1, exit.ExitCode())
		require.Contains(t, out.String(), name)
		require.NotContains(t, out.String(), "99999999")
	}
}
