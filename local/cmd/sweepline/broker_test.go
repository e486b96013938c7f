package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// runBroker starts `sweepline broker` and gives it with its ingress in url.
func runBroker(t *testing.T, dir, redisURL string) *process {
	t.Helper()
	file, err := binary()
	require.NoError(t, err)
	p := &process{t: t}
	p.cmd = exec.Command(file, "broker", "--config", dir, "--port", "0", "--admin-port", "0")
	p.cmd.Env = append(os.Environ(), "REDIS_URL="+redisURL)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	found := regexp.MustCompile(`^Broker (http://\S+)`).FindStringSubmatch(line)
	require.NotNil(t, found, line)
	p.url = found[1]
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return p
}

const retryManifest = `apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default, namespace: %[1]s}
spec: {delivery: {retry: 3, backoffPolicy: exponential, backoffDelay: PT2S}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: down, namespace: %[1]s}
spec: {broker: default, subscriber: {uri: %[2]q}}
`

// TestAttemptsOnTheClock waits them out on the real process: three retries of
// PT2S, exponential, come 2, 4 and 8 seconds after the one before, and no others;
// also where the broker is killed and started again between two of them.
func TestAttemptsOnTheClock(t *testing.T) {
	t.Parallel()
	// An attempt is never early (but for the millisecond that due times are cut
	// to), and late by what a busy machine takes.
	const early, late = 2 * time.Millisecond, 1500 * time.Millisecond
	for name, killAfter := range map[string]int{"undisturbed": 0, "killed after the first": 1, "killed after the second": 2, "killed after the third": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attempts := make(chan time.Time, 100)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				attempts <- time.Now()
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			t.Cleanup(s.Close)
			url, namespace, dir := servertest.Redis(t), "test-"+uuid.NewString(), t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "retry.yaml"), fmt.Appendf(nil, retryManifest, namespace, s.URL), 0o600))
			client, err := redisclient.New(url)
			require.NoError(t, err)
			t.Cleanup(func() { _ = client.Close() })
			inspector, err := broker.NewInspector(client)
			require.NoError(t, err)

			p := runBroker(t, dir, url)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url, strings.NewReader("{}"))
			require.NoError(t, err)
			for k, v := range map[string]string{"Specversion": "1.0", "Id": "1", "Source": "/test", "Type": "test"} {
				req.Header.Set("Ce-"+k, v)
			}
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusAccepted, resp.StatusCode)

			var at []time.Time
			for len(at) < 4 {
				select {
				case now := <-attempts:
					at = append(at, now)
				case <-time.After(30 * time.Second):
					require.FailNow(t, "an attempt is missing", "after %d", len(at))
				}
				if len(at) != killAfter {
					continue
				}
				require.Eventually(t, func() bool { // else it dies in the attempt, which is then made again
					waiting, err := inspector.Retries(t.Context(), namespace, "default", "down", 1)
					return err == nil && len(waiting) == 1 && waiting[0].Attempts == killAfter
				}, time.Second, time.Millisecond)
				p.kill()
				p = runBroker(t, dir, url)
			}
			require.Eventually(t, func() bool {
				letters, _, err := inspector.DeadLetters(t.Context(), broker.DeadLetterQuery{Namespace: namespace})
				return err == nil && len(letters) == 1 && letters[0].Attempts == 4
			}, time.Minute, 10*time.Millisecond)
			require.Empty(t, attempts, "there are four in all")
			for i, wait := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second} {
				took := at[i+1].Sub(at[i])
				require.GreaterOrEqual(t, took, wait-early, "retry %d", i+1)
				require.LessOrEqual(t, took, wait+late, "retry %d", i+1)
			}
			t.Logf("attempts at 0, %.2f, %.2f, %.2f s", at[1].Sub(at[0]).Seconds(), at[2].Sub(at[0]).Seconds(), at[3].Sub(at[0]).Seconds())
		})
	}
}
