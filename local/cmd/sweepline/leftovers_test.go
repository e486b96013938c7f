package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// What no Broker owns any more is listed and removed; what one owns, or a process
// serves, is not.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	url := servertest.Miniredis(t) // its own: it removes whatever is left of others
	rdb, err := redisclient.New(url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	owned, gone, served := broker.Broker{Namespace: "shop", Name: "owned"}, broker.Broker{Namespace: "gone", Name: "b"}, broker.Broker{Namespace: "elsewhere", Name: "served"}
	cfg := broker.DefaultConfig()
	serve := func(b broker.Broker) *broker.Server {
		srv, err := broker.New(cfg, rdb, nil, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		require.NoError(t, srv.Apply(t.Context(), broker.Set{Brokers: []broker.Broker{b}, Triggers: []broker.Trigger{{
			Namespace: b.Namespace, Broker: b.Name, Name: "t", Subscriber: "http://nobody.example.com/",
		}}}))
		return srv
	}
	for _, b := range []broker.Broker{owned, gone} {
		require.NoError(t, serve(b).Close())
	}
	running := serve(served)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- running.Run(ctx) }()
	require.Eventually(t, func() bool {
		return len(rdb.Keys(t.Context(), "sweepline:{elsewhere/served/0}:alive:*").Val()) == 1
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, rdb.SRem(t.Context(), "sweepline:brokers", gone.String()).Err(), "found without its entry, too")
	require.NoError(t, rdb.Set(t.Context(), "sweepline:{not/a}:broker", 1, 0).Err())

	file := filepath.Join(t.TempDir(), "brokers.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
apiVersion: v1
kind: List
items:
- apiVersion: eventing.knative.dev/v1
  kind: Broker
  metadata: {name: owned, namespace: shop}
  spec: {aFieldOfAnotherVersion: 1, delivery: {deadLetterSink: {ref: {kind: Service, name: x, apiVersion: v1}}}}
`), 0o600))
	program, err := binary()
	require.NoError(t, err)
	run := func(stdin string, args ...string) (string, int) {
		cmd := exec.Command(program, append([]string{"leftovers"}, args...)...)
		cmd.Env = append(os.Environ(), "REDIS_URL="+url)
		cmd.Stdin = strings.NewReader(stdin)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	list := func(args ...string) (left []leftover) {
		out, code := run("", append(args, "--json")...)
		require.Zero(t, code, out)
		require.NoError(t, json.Unmarshal([]byte(out), &left), out)
		for i := range left {
			require.Positive(t, left[i].Keys)
			left[i].Keys = 0
		}
		return left
	}
	want := []leftover{{Namespace: "elsewhere", Broker: "served", State: "served"}, {Namespace: "gone", Broker: "b", State: "left"}}
	require.Equal(t, want, list("--brokers", file))
	require.Equal(t, want, list("--brokers", file), "looking removes nothing")
	for _, c := range [][]string{
		{""}, {"", "--none", "--brokers", file}, {"apiVersion: v1\nkind: List\nitems: []\n", "--brokers", "-", "--remove"},
		{"{", "--brokers", "-", "--remove"}, {"", "--brokers", file + "x", "--remove"},
	} {
		out, code := run(c[0], c[1:]...)
		require.NotZero(t, code, "%q: %s", c, out)
	}
	want[1].State = "removed"
	require.Equal(t, want, list("--brokers", file, "--remove"))
	require.Equal(t, want[:1], list("--brokers", file, "--remove"))
	require.Empty(t, rdb.Keys(t.Context(), "sweepline:{gone/b/*").Val())
	require.NotEmpty(t, rdb.Keys(t.Context(), "sweepline:{shop/owned/*").Val())

	stop()
	require.NoError(t, <-ended)
	require.NoError(t, running.Close())
	out, code := run("", "--none", "--remove")
	require.Zero(t, code)
	require.Contains(t, out, "shop/owned")
	require.Equal(t, []string{"sweepline:{not/a}:broker"}, rdb.Keys(t.Context(), "sweepline:*").Val())
}
