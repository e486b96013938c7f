package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/transport"
)

// defaultServer is where 'sweepline up' listens.
const defaultServer = "http://localhost:8080"

// longestKey bounds the file of a key, in bytes.
const longestKey = 4 << 10

// clientConfig says where a running sweepline is.
type clientConfig struct {
	// URL is the sweepline that the command talks to, without it that of the current
	// context (`sweepline context`), or http://localhost:8080.
	URL string `envconfig:"SWEEPLINE_URL"`
	// Key is the tenant's key, where keys are asked for. It is sent to the server of
	// SWEEPLINE_URL and no other, without one to http://localhost:8080.
	Key string `envconfig:"SWEEPLINE_KEY"`
}

// targetFlags are the flags that say which server is meant, and as whom.
var targetFlags = []string{"server", "key-file", "context"}

// addTargetFlags adds them. There is none for the key itself: every user of a machine
// can read the arguments of its processes, and shells keep them.
func addTargetFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.String("server", "", "address of the sweepline to talk to, as "+defaultServer)
	f.String("key-file", "", "file with the tenant's key, in place of $SWEEPLINE_KEY")
	f.String("context", "", "a server and key by name; see 'sweepline context'")
	root.MarkFlagsMutuallyExclusive("server", "context")
	_ = root.RegisterFlagCompletionFunc("context", completeContexts)
}

// target is a server, and the key for it.
type target struct {
	server, key string
	// from says what named the server.
	from string
}

// talks marks a command that talks to a running sweepline.
const talks = "talks to a server"

func remote(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{talks: "yes"}
	return cmd
}

// refuseTarget refuses the flags of a server to a command that talks to none.
func refuseTarget(cmd *cobra.Command) (err error) {
	if cmd.Annotations[talks] != "" {
		return nil
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if cmd.InheritedFlags().Lookup(f.Name) != nil {
			err = usagef("--%[2]s is not valid for %[1]s, which does not contact a server", cmd.CommandPath(), f.Name)
		}
	})
	return err
}

// refuseEmpty refuses empty values to a command that talks to a server: one comes of a
// variable of a shell that is not set, and would widen what an act is done to, or have it
// done at another server.
func refuseEmpty(cmd *cobra.Command, args []string) (err error) {
	if cmd.Annotations[talks] == "" {
		return nil
	}
	blank := func(text string) bool { return strings.TrimSpace(text) == "" }
	if slices.ContainsFunc(args, blank) {
		return usagef("an argument must not be empty")
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		var values []string
		switch many, ok := f.Value.(pflag.SliceValue); {
		case ok:
			values = many.GetSlice()
		case f.Name == "status":
			values = strings.Split(f.Value.String(), ",")
		case f.Value.Type() == "string":
			values = []string{f.Value.String()}
		default:
			return
		}
		if len(values) == 0 || slices.ContainsFunc(values, blank) {
			err = usagef("--%s must not be empty", f.Name)
		}
	})
	return err
}

// targetOf says where to and as whom: --server or --context, else SWEEPLINE_URL, else the
// current context, else defaultServer. A key goes to no other server than the one that it
// was named with: a context's to that of the context, SWEEPLINE_KEY to that of
// SWEEPLINE_URL, or without one to defaultServer. --server has the key that is named with
// the same address, if any. That of --key-file goes wherever the command does.
func targetOf(cmd *cobra.Command) (target, error) {
	server, name, file := flagText(cmd, "server"), flagText(cmd, "context"), flagText(cmd, "key-file")
	var env clientConfig
	if err := function.Load(&env); err != nil {
		return target{}, usageError{err}
	}
	if !isKey(env.Key) {
		return target{}, usagef("SWEEPLINE_KEY must hold one key and nothing else")
	}
	t := target{cmp.Or(env.URL, defaultServer), env.Key, "SWEEPLINE_URL"}
	current := env.URL == "" // where nothing else says
	if server != "" {
		// A key that is named for this one command leaves nothing to look for.
		current = file == "" && (env.URL == "" || !sameServer(server, env.URL))
	}
	if name != "" || current {
		saved, err := readContexts()
		if err != nil {
			return t, err
		}
		if name = cmp.Or(name, saved.Current); name != "" {
			of, err := saved.target(name)
			if err != nil {
				return t, err
			}
			if server == "" || sameServer(server, of.server) {
				t = of
			}
		}
	}
	if server != "" {
		if !sameServer(server, t.server) {
			t.key = ""
		}
		t.server, t.from = server, "--server"
	}
	if file != "" {
		key, err := readKey(file)
		if err != nil {
			return t, err
		}
		t.key = key
	}
	return t, nil
}

// sameServer reports whether two addresses are the same: in scheme, host, port and path,
// and in the user, if they have one. Case does not count where it has no meaning, nor do a
// port that is the scheme's and a slash at the end.
// Rule: RFC 3986, 6.2.2.1 and 6.2.3.
func sameServer(a, b string) bool {
	x, errX := transport.ParseBase(a)
	y, errY := transport.ParseBase(b)
	return errX == nil && errY == nil && x.Scheme == y.Scheme && x.User.String() == y.User.String() &&
		strings.EqualFold(x.Hostname(), y.Hostname()) && portOf(x) == portOf(y) &&
		strings.TrimRight(x.EscapedPath(), "/") == strings.TrimRight(y.EscapedPath(), "/")
}

func portOf(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

func flagText(cmd *cobra.Command, name string) string {
	text, _ := cmd.Flags().GetString(name)
	return text
}

// readKey reads a key from a file.
func readKey(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", usageError{err}
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, longestKey+1))
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" || len(text) > longestKey || !isKey(key) {
		return "", usagef("--key-file: %s must hold one key and nothing else", file)
	}
	return key, nil
}

// isKey reports whether a header can hold a key.
func isKey(key string) bool {
	return !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
}

// newClient makes the client of the server that flags, environment or context name.
func newClient(cmd *cobra.Command) (*api.Client, error) {
	t, err := targetOf(cmd)
	if err != nil {
		return nil, err
	}
	if _, err := transport.ParseBase(t.server); err != nil {
		return nil, usagef("%s %w, as %s", t.from, err, defaultServer)
	}
	return api.New(t.server, t.key)
}

// again is a command as it may be given for the same server.
func again(cmd *cobra.Command, words string) string {
	text := "sweepline " + words
	for _, name := range targetFlags {
		if value := flagText(cmd, name); value != "" {
			if name == "server" {
				value = redacted(value) // a password stands in no hint
			}
			text += " --" + name + " " + quoted(value)
		}
	}
	return text
}
