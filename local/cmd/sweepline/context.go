package main

import (
	"fmt"
	"io"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/transport"
)

// contextName is what a context may be called.
var contextName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func newContext() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "Name servers with their keys, and choose one",
		Long: `A context is a server and the key for it, by name. Commands talk to the current
context, or to that of --context; --server and $SWEEPLINE_URL are used instead of the
current context. A key is only sent to the server that it was named with: a context's
to the server of that context, and $SWEEPLINE_KEY to that of $SWEEPLINE_URL or, where
that is not set, to http://localhost:8080. --server with the address of $SWEEPLINE_URL,
or else of the current context, is that server, and the key is sent; with any other
address none is. --key-file names the key for the server of this one command, whichever
that is.

They are kept in contexts.json in the folder sweepline of the user's configuration,
which is its owner's alone.`,
		Example: "  sweepline context set desk --server https://sweeps.example.com --key-file key.txt\n" +
			"  sweepline context use desk\n  sweepline jobs --context desk",
	}
	cmd.AddCommand(newContextList(), newContextUse(), newContextSet(), newContextDelete())
	return cmd
}

func completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	c, err := readContexts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return c.names(), cobra.ShellCompDirectiveNoFileComp
}

// shownContext is a context without its key.
type shownContext struct {
	Name    string `json:"name"`
	Server  string `json:"server"`
	HasKey  bool   `json:"has_key"`
	Current bool   `json:"current"`
}

func newContextList() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List contexts; keys are not shown",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			saved, err := readContexts()
			if err != nil {
				return err
			}
			all := []shownContext{}
			for _, name := range saved.names() {
				c := saved.Contexts[name]
				all = append(all, shownContext{name, redacted(c.Server), c.Key != "", name == saved.Current})
			}
			return show(cmd, o, listing[shownContext]{
				items: all, page: all,
				name: func(c shownContext) string { return c.Name },
				head: []string{"name", "server", "has_key", "current"},
				record: func(c shownContext) []string {
					return []string{c.Name, c.Server, fmt.Sprint(c.HasKey), fmt.Sprint(c.Current)}
				},
				table: func(w io.Writer, _ bool) error {
					if len(all) == 0 {
						_, err := fmt.Fprintln(w, "No contexts. Name one with 'sweepline context set NAME --server URL'.")
						return err
					}
					g := newGrid(w, "", "name", "server", "key")
					for _, c := range all {
						g.add(map[bool]string{true: "*"}[c.Current], c.Name, c.Server, map[bool]string{true: "yes", false: "no"}[c.HasKey])
					}
					g.print()
					return nil
				},
			})
		},
	}
	o.flags(cmd, allForms...)
	return cmd
}

// redacted is an address without a password.
func redacted(server string) string {
	u, err := transport.ParseURL(server)
	if err != nil {
		return server
	}
	return u.Redacted()
}

func newContextUse() *cobra.Command {
	return &cobra.Command{
		Use:   "use NAME",
		Short: "Make a context the current context",
		Args:  cobra.ExactArgs(1),

		ValidArgsFunction: completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			var server string
			err := changeContexts(func(c *contexts) error {
				saved, known := c.Contexts[args[0]]
				if !known {
					return c.unknown(args[0])
				}
				c.Current, server = args[0], saved.Server
				return nil
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Using %s: %s\n", args[0], redacted(server))
			return err
		},
	}
}

func newContextSet() *cobra.Command {
	return remote(&cobra.Command{
		Use:   "set NAME --server URL [--key-file FILE]",
		Short: "Make a context, or change it; the first one becomes the current context",
		Long: `Makes a context of --server and the key in --key-file, or changes one. Where the server
changes and no key is named, the key is forgotten: it was for another server.`,
		Example: "  sweepline context set desk --server https://sweeps.example.com --key-file key.txt\n" +
			"  sweepline context set desk --key-file <(pass show sweepline)",
		Args: cobra.ExactArgs(1),

		ValidArgsFunction: completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, server, file := args[0], flagText(cmd, "server"), flagText(cmd, "key-file")
			switch {
			case !contextName.MatchString(name):
				return usagef("a context's name must be 1 to 64 of A-Za-z0-9._-, and begin with a letter or a digit")
			case cmd.Flags().Changed("context"):
				return usagef("the context is named by the argument: it takes no --context")
			case server == "" && file == "":
				return usagef("name --server, --key-file or both")
			}
			var saved savedContext
			err := changeContexts(func(c *contexts) (err error) {
				var known bool
				saved, known = c.Contexts[name]
				if !known && server == "" {
					return usagef("a new context needs --server")
				}
				if server != "" {
					if _, err := transport.ParseBase(server); err != nil {
						return usagef("--server %w, as %s", err, defaultServer)
					}
					if !sameServer(server, saved.Server) {
						saved.Key = ""
					}
					saved.Server = server
				}
				if file != "" {
					if saved.Key, err = readKey(file); err != nil {
						return err
					}
				}
				c.Contexts[name] = saved
				if !known && len(c.Contexts) == 1 {
					c.Current = name
				}
				return nil
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s\n", name, redacted(saved.Server), map[bool]string{true: "with a key", false: "without a key"}[saved.Key != ""])
			return err
		},
	})
}

func newContextDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Forget a context and its key",
		Args:  cobra.ExactArgs(1),

		ValidArgsFunction: completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := changeContexts(func(c *contexts) error {
				if _, known := c.Contexts[args[0]]; !known {
					return c.unknown(args[0])
				}
				delete(c.Contexts, args[0])
				if c.Current == args[0] {
					c.Current = ""
				}
				return nil
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Deleted %s\n", args[0])
			return err
		},
	}
}
