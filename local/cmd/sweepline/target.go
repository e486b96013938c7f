package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/function"
)

// defaultServer is where 'sweepline up' listens.
const defaultServer = "http://localhost:8080"

// longestKey bounds the file of a key, in bytes.
const longestKey = 4 << 10

// clientConfig says where a running sweepline is.
type clientConfig struct {
	// URL is the sweepline that the command talks to, without it that of the present
	// context (`sweepline context`), or http://localhost:8080.
	URL string `envconfig:"SWEEPLINE_URL"`
	// Key is the tenant's key, where keys are asked for.
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
type target struct{ server, key string }

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
			err = usagef("%s takes no --%s: it talks to no running sweepline", cmd.CommandPath(), f.Name)
		}
	})
	return err
}

// targetOf says where to and as whom. Flags come first, then the environment, then the
// present context. A key goes to no other server than the one that it stands beside.
func targetOf(cmd *cobra.Command) (target, error) {
	server, name, file := flagText(cmd, "server"), flagText(cmd, "context"), flagText(cmd, "key-file")
	var env clientConfig
	if err := function.Load(&env); err != nil {
		return target{}, usageError{err}
	}
	var t target
	switch {
	case server != "":
		t.server = server
		if env.URL == "" || strings.TrimRight(env.URL, "/") == strings.TrimRight(server, "/") {
			t.key = env.Key
		}
	case name == "" && env.URL != "":
		t = target{env.URL, env.Key}
	default:
		saved, err := readContexts()
		if err != nil {
			return t, err
		}
		if t, err = saved.target(name); err != nil {
			return t, err
		}
		if name == "" && env.Key != "" {
			t.key = env.Key
		}
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
	if key == "" || len(text) > longestKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usagef("--key-file: %s must hold one key and nothing else", file)
	}
	return key, nil
}

// newClient makes the client of the server that flags, environment or context name.
func newClient(cmd *cobra.Command) (*api.Client, error) {
	t, err := targetOf(cmd)
	if err != nil {
		return nil, err
	}
	c, err := api.New(t.server, t.key)
	if err != nil {
		return nil, usagef("--server, or SWEEPLINE_URL, must look like %s", defaultServer)
	}
	return c, nil
}

// again is a command as it may be given for the same server.
func again(cmd *cobra.Command, words string) string {
	text := "sweepline " + words
	for _, name := range targetFlags {
		if value := flagText(cmd, name); value != "" {
			text += " --" + name + " " + quoted(value)
		}
	}
	return text
}
