package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// keys is a server that notes the key of each request.
type keys struct{ seen []string }

func (k *keys) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.seen = append(k.seen, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	_, _ = w.Write([]byte(`{"jobs":[]}`))
}

// last is the key of the last request; it fails where there was none since.
func (k *keys) last(t *testing.T) string {
	t.Helper()
	require.NotEmpty(t, k.seen, "nobody asked")
	key := k.seen[len(k.seen)-1]
	k.seen = nil
	return key
}

// TestContexts holds the rule that a key goes to no other server than the one it was named
// with.
func TestContexts(t *testing.T) {
	t.Parallel()
	var desk, other keys
	a, b := httptest.NewServer(&desk), httptest.NewServer(&other)
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	home := t.TempDir()
	run := func(env []string, args ...string) (string, string, int) {
		t.Helper()
		return commandIn(t, append([]string{"HOME=" + home, "XDG_CONFIG_HOME=" + home}, env...), args...)
	}
	file := filepath.Join(home, "key")
	require.NoError(t, os.WriteFile(file, []byte("desk-key\n"), 0o600))

	out, _, code := run(nil, "context", "list")
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "context set")
	_, errs, code := run(nil, "context", "set", "desk", "--server", a.URL, "--key-file", file)
	require.Equal(t, exitDone, code, errs)
	_, _, code = run(nil, "context", "set", "other", "--server", b.URL)
	require.Equal(t, exitDone, code)
	contexts := filepath.Join(home, "sweepline", "contexts.json")
	info, err := os.Stat(contexts)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	for _, form := range allForms {
		out, _, code = run(nil, "context", "list", "-o", form)
		require.Equal(t, exitDone, code)
		require.Contains(t, out, "desk")
		require.NotContains(t, out, "desk-key")
	}

	for name, c := range map[string]struct {
		env  []string
		args []string
		at   *keys
		key  string
	}{
		"current context":             {nil, nil, &desk, "desk-key"},
		"key of no server":            {[]string{"SWEEPLINE_KEY=mine"}, nil, &desk, "desk-key"},
		"server of the environment":   {[]string{"SWEEPLINE_URL=" + b.URL}, nil, &other, ""},
		"both of the environment":     {[]string{"SWEEPLINE_URL=" + b.URL, "SWEEPLINE_KEY=mine"}, nil, &other, "mine"},
		"server flag":                 {nil, []string{"--server", b.URL}, &other, ""},
		"server flag, key":            {[]string{"SWEEPLINE_KEY=mine"}, []string{"--server", b.URL}, &other, ""},
		"key of another server":       {[]string{"SWEEPLINE_URL=" + a.URL, "SWEEPLINE_KEY=mine"}, []string{"--server", b.URL}, &other, ""},
		"key of the same server":      {[]string{"SWEEPLINE_URL=" + b.URL + "/", "SWEEPLINE_KEY=mine"}, []string{"--server", b.URL}, &other, "mine"},
		"key file":                    {[]string{"SWEEPLINE_KEY=mine"}, []string{"--server", b.URL, "--key-file", file}, &other, "desk-key"},
		"current one's server":        {nil, []string{"--server", a.URL + "/"}, &desk, "desk-key"},
		"current one's, other key":    {[]string{"SWEEPLINE_KEY=mine"}, []string{"--server", strings.ToUpper(a.URL)}, &desk, "desk-key"},
		"current one's, other server": {[]string{"SWEEPLINE_URL=" + b.URL, "SWEEPLINE_KEY=mine"}, []string{"--server", a.URL}, &desk, "desk-key"},
		"current one's, both":         {[]string{"SWEEPLINE_URL=" + a.URL, "SWEEPLINE_KEY=mine"}, []string{"--server", a.URL}, &desk, "mine"},
		"current one's, below it":     {nil, []string{"--server", a.URL + "/desk"}, &desk, ""},
		"named context":               {[]string{"SWEEPLINE_KEY=mine"}, []string{"--context", "other"}, &other, ""},
		"named over the environment":  {[]string{"SWEEPLINE_URL=" + b.URL, "SWEEPLINE_KEY=mine"}, []string{"--context", "desk"}, &desk, "desk-key"},
		"named context with key file": {nil, []string{"--context", "other", "--key-file", file}, &other, "desk-key"},
	} {
		_, errs, code := run(c.env, append([]string{"jobs"}, c.args...)...)
		require.Equal(t, exitDone, code, name+errs)
		require.Equal(t, c.key, c.at.last(t), name)
	}

	_, _, code = run(nil, "context", "use", "other")
	require.Equal(t, exitDone, code)
	_, _, _ = run(nil, "jobs")
	require.Empty(t, other.last(t))
	_, _, code = run(nil, "context", "set", "desk", "--server", b.URL)
	require.Equal(t, exitDone, code)
	_, _, _ = run(nil, "jobs", "--context", "desk")
	require.Empty(t, other.last(t), "another server: the key is forgotten")
	_, _, code = run(nil, "context", "set", "desk", "--key-file", file)
	require.Equal(t, exitDone, code)
	_, _, _ = run(nil, "jobs", "--context", "desk")
	require.Equal(t, "desk-key", other.last(t))
	_, _, code = run(nil, "context", "set", "desk", "--server", b.URL+"/")
	require.Equal(t, exitDone, code)
	_, _, _ = run(nil, "jobs", "--context", "desk")
	require.Equal(t, "desk-key", other.last(t), "the same server")
	_, _, _ = run([]string{"SWEEPLINE_KEY=mine"}, "jobs")
	require.Empty(t, other.last(t), "SWEEPLINE_KEY is for no context, one without a key neither")
	_, _, code = run(nil, "context", "delete", "other")
	require.Equal(t, exitDone, code)
	_, _, code = run(nil, "context", "set", "desk", "--server", b.URL)
	require.Equal(t, exitDone, code)
	out, _, _ = run(nil, "context", "list", "-o", "json")
	require.Contains(t, out, `"current": false`, "a change makes none the current one")
	_, _, code = run(nil, "context", "use", "desk")
	require.Equal(t, exitDone, code)
	text, err := os.ReadFile(contexts)
	require.NoError(t, err)
	require.NotContains(t, string(text), "other")
	out, _, _ = run(nil, "__complete", "jobs", "--context", "")
	require.Contains(t, out, "desk\n")

	require.True(t, othersRead("linux", 0o640))
	require.False(t, othersRead("linux", 0o600))
	require.False(t, othersRead("windows", 0o666), "modes say nothing there")
	empty := filepath.Join(home, "empty")
	require.NoError(t, os.WriteFile(empty, []byte("two keys\n"), 0o600))
	for name, args := range map[string][]string{
		"no such context":        {"jobs", "--context", "nobody"},
		"no such context to use": {"context", "use", "nobody"},
		"two servers":            {"jobs", "--context", "desk", "--server", b.URL},
		"no address":             {"jobs", "--server", "localhost"},
		"no key":                 {"jobs", "--key-file", empty},
		"no key file":            {"jobs", "--key-file", filepath.Join(home, "nothing")},
		"new without a server":   {"context", "set", "new", "--key-file", file},
		"bad name":               {"context", "set", "a b", "--server", b.URL},
		"nothing to set":         {"context", "set", "desk"},
		"needs no server":        {"version", "--server", b.URL},
		"no such command":        {"context", "foo"},
	} {
		_, errs, code := run(nil, args...)
		require.Equal(t, exitUsage, code, name+errs)
	}
	text, err = os.ReadFile(contexts)
	require.NoError(t, err)
	for old, says := range map[string]string{"--server must be an": "--server", "SWEEPLINE_URL must be an": "", "the server of the context desk must be an": "context"} {
		require.NoError(t, os.WriteFile(contexts, []byte(strings.Replace(string(text), b.URL, "ftp://x", 1)), 0o600))
		switch says {
		case "--server":
			_, errs, code = run(nil, "jobs", "--server", "ftp://x")
		case "context":
			_, errs, code = run(nil, "jobs")
		default:
			_, errs, code = run([]string{"SWEEPLINE_URL=ftp://x"}, "jobs")
		}
		require.Equal(t, exitUsage, code)
		require.Contains(t, errs, old)
	}
	// A query or a fragment would take in all paths: nothing is asked of a server.
	for _, more := range []string{"/?a=b", "?", "#top"} {
		const says = " must be an http or https URL without a query (?) and a fragment (#), as http://localhost:8080"
		require.NoError(t, os.WriteFile(contexts, []byte(strings.Replace(string(text), b.URL, b.URL+more, 1)), 0o600))
		for from, c := range map[string]struct{ env, args []string }{
			"--server": {nil, []string{"jobs", "--server", b.URL + more}}, "SWEEPLINE_URL": {[]string{"SWEEPLINE_URL=" + b.URL + more}, []string{"jobs"}},
			"the server of the context desk": {nil, []string{"jobs"}}, "sweepline: --server": {nil, []string{"context", "set", "desk", "--server", b.URL + more}},
		} {
			_, errs, code = run(c.env, c.args...)
			require.Equal(t, exitUsage, code, from+errs)
			require.Contains(t, errs, from+says)
		}
	}
	require.NoError(t, os.Chmod(contexts, 0o644))
	_, errs, code = run(nil, "jobs")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "chmod 600")
	require.NoError(t, os.WriteFile(contexts, []byte("{"), 0o600))
	require.NoError(t, os.Chmod(contexts, 0o600))
	_, errs, code = run(nil, "jobs")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "contexts.json")
	_, _, code = run([]string{"SWEEPLINE_URL=" + b.URL}, "jobs")
	require.Equal(t, exitDone, code, "the file is not needed")
}

// What counts as the same server decides where a key goes.
func TestSameServer(t *testing.T) {
	t.Parallel()
	for other, same := range map[string]bool{
		"https://sweeps.example/desk": true, "https://sweeps.example/desk/": true, "HTTPS://Sweeps.Example:443/desk": true,
		"http://sweeps.example/desk": false, "https://sweeps.example:8443/desk": false, "https://sweeps.example": false, "https://sweeps.example/Desk": false,
		"https://sweeps.example/desk/other": false, "https://sweeps.example.evil/desk": false, "https://evil@sweeps.example/desk": false,
		"https://sweeps.example@evil/desk": false, "https://sweeps.example/desk?a=b": false, "sweeps.example/desk": false, "": false,
	} {
		require.Equal(t, same, sameServer("https://sweeps.example/desk", other), other)
		require.Equal(t, same, sameServer(other, "https://sweeps.example/desk"), other)
	}
	require.True(t, sameServer("http://[::1]", "http://[::1]:80/"))
	require.False(t, sameServer("http://x:443", "https://x"))
	require.False(t, sameServer("", ""), "no server is the same as none")
}

// What a command says may be given next holds no password of an address.
func TestHintsHoldNoPassword(t *testing.T) {
	t.Parallel()
	cmd := &cobra.Command{}
	cmd.Flags().String("server", "", "")
	require.NoError(t, cmd.Flags().Set("server", "http://me:secret@sweeps.example"))
	for _, hint := range []string{again(cmd, "watch ID"), flagsBut(cmd, "cursor")} {
		require.Contains(t, hint, "sweeps.example")
		require.NotContains(t, hint, "secret")
	}
}

// A key that no header can hold is a mistake of its own, not a server that does not answer.
func TestKeysThatNoHeaderHolds(t *testing.T) {
	t.Parallel()
	for key, ok := range map[string]bool{"": true, "acme-0123456789abcdef": true, "a\nb": false, "a b": false, "ä": false} {
		require.Equal(t, ok, isKey(key), "%q", key)
	}
}

// Commands that change contexts at once lose none of them.
func TestContextsChangedAtOnce(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	var all errgroup.Group
	for i := range 20 {
		all.Go(func() error {
			return changeContexts(func(c *contexts) error {
				c.Contexts[fmt.Sprint(i)] = savedContext{Server: "http://127.0.0.1"}
				return nil
			})
		})
	}
	require.NoError(t, all.Wait())
	c, err := readContexts()
	require.NoError(t, err)
	require.Len(t, c.Contexts, 20)
}
