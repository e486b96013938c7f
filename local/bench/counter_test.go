package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

const commands = "*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\n*1\r\n$4\r\nEVIL\r\n*3\r\n$7\r\nevalsha\r\n$2\r\n0f\r\n$1\r\n0\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n"

// However the bytes are cut, the same commands are found, and none inside arguments.
func TestRespIsFollowedInAnyPieces(t *testing.T) {
	t.Parallel()
	for size := 1; size <= len(commands); size++ {
		var r resp
		var names []request
		for rest := []byte(commands); len(rest) > 0; {
			n := min(size, len(rest))
			found, ok := r.feed(rest[:n])
			require.True(t, ok)
			names, rest = append(names, found...), rest[n:]
		}
		require.Equal(t, []request{{name: "ping"}, {name: "set"}, {"evalsha", "0f"}, {name: "get"}}, names, "in pieces of %d", size)
	}
}

func TestRespThatCannotBeFollowedIsSaid(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"PING\r\n", "$4\r\nPING\r\n", "*1\r\n$-1\r\n", "*1\r\nPING\r\n", strings.Repeat("x", 40)} {
		var r resp
		_, ok := r.feed([]byte(text))
		require.False(t, ok, text)
	}
}

func FuzzResp(f *testing.F) {
	f.Add([]byte(commands), 3)
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var whole, pieces resp
		want, wantOK := whole.feed(b)
		cut = min(max(cut, 0), len(b))
		got, ok := pieces.feed(b[:cut])
		if ok {
			var rest []request
			rest, ok = pieces.feed(b[cut:])
			got = append(got, rest...)
		}
		require.Equal(t, wantOK, ok)
		require.Equal(t, want, got)
	})
}

func TestCounterCountsClientsCommandsOnly(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	p, err := startCounter(t.Context(), m.Addr())
	require.NoError(t, err)
	t.Cleanup(p.close)
	c := redis.NewClient(&redis.Options{Addr: p.address, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Ping(t.Context()).Err())
	before := p.counts()
	const script = "-- Counts to five.\nfor i = 1, 5 do redis.call('SET', KEYS[1], i) end return 1"
	require.NoError(t, c.Eval(t.Context(), script, []string{"k"}).Err())
	_, err = c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for range 10 {
			p.Incr(t.Context(), "n")
		}
		return nil
	})
	require.NoError(t, err)
	n := p.counts()
	require.Equal(t, 1.0, n["scripts"])
	digest := redis.NewScript(script).Hash()
	require.Equal(t, 1.0, n["script "+digest[:8]])
	require.Equal(t, 10.0, n["incr"])
	require.Zero(t, n["set"], "a script's own commands are not sent")
	greetings := n["hello"] - before["hello"] // of connections that the client opens as it likes
	require.Equal(t, 11.0, n["all"]-before["all"]-greetings)
	require.Equal(t, 2.0, n["trips"]-before["trips"]-greetings)
	require.Equal(t, "10", c.Get(t.Context(), "n").Val(), "what is counted arrives")
}

func TestScriptsAreNamedByTheirFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "wait", "lua"), 0o750))
	for name, text := range map[string]string{"all": "-- Shared.\nlocal x = 1\n", "end": "-- KEYS[1] k\n\nreturn x\n", "last": "local y = 2\nreturn x\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "wait", "lua", name+".lua"), []byte(text), 0o600))
	}
	files := luaFiles(dir, dir+"/nowhere")
	require.Len(t, files, 3)
	require.Equal(t, "script wait/end", titleOf("0123456789", "local x = 1\nreturn x", files), "what is shared stands before it")
	require.Equal(t, "script wait/last", titleOf("0123456789", "local x = 1\n-- why\n  local y = 2\nreturn x", files), "the longest that fits")
	require.Equal(t, "script 01234567", titleOf("0123456789", "return 3", files))
	require.Equal(t, "script 01234567", titleOf("0123456789", "", nil))
	require.NotEmpty(t, luaFiles("../../shared"))
}

func TestKindsOfKeys(t *testing.T) {
	t.Parallel()
	id := "019ac1f2-9b1f-7cc0-8a40-111122223333"
	for key, want := range map[string]string{
		"sweepline:claim:{notify/" + id + "/job/slack}": "sweepline:claim:{notify/*/job/slack}",
		"sweepline:{w7}:" + "\x01\x9a:\xc1\xf2k":        "sweepline:{w*}:*",
		"sweepline:{a/b/0}:history":                     "sweepline:{a/b/*}:history",
		"sweepline:{a/b/12}:seen:AbCdEfGhIjKlMnOpQr":    "sweepline:{a/b/*}:seen:*",
	} {
		require.Equal(t, want, kindOf(key))
	}
}
