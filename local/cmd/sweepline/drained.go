package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/inspect"
	data "github.com/zixly/sweepline/shared/broker/stream"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/redisclient"
)

// openInspector opens the Redis of REDIS_URL for a look into the broker's data. done closes
// it.
func openInspector() (inspector *inspect.Inspector, done func(), err error) {
	var env brokerEnv
	cfg := broker.DefaultConfig()
	if err := function.Load(&env, &cfg); err != nil {
		return nil, nil, usageError{err}
	}
	if env.RedisURL == "" {
		return nil, nil, usagef("REDIS_URL is not set: name the Redis to look into, as redis://localhost:6379/0")
	}
	client, err := redisclient.New(env.RedisURL)
	if err != nil {
		return nil, nil, usageError{err}
	}
	done = func() { _ = client.Close() }
	if inspector, err = inspect.New(client, cfg.KeyPrefix); err != nil {
		done()
		return nil, nil, err
	}
	return inspector, done, nil
}

// errNotDrained is the exit code 1 of drained; what is left has been printed.
var errNotDrained = errors.New("not drained")

func newDrained() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "drained",
		Short: "Report whether the broker has delivered everything",
		Long: `Looks into $REDIS_URL and lists what each Trigger has not finished, in the present layout
of the data and in the one before it. Before an upgrade that changes the layout: stop whoever
publishes, run this until it says that the broker is drained, then upgrade. Exit code 1 while
anything is left. Dead letters do not count.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			inspector, done, err := openInspector()
			if err != nil {
				return err
			}
			defer done()
			left, err := inspector.Backlogs(cmd.Context())
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			switch {
			case o.isJSON():
				if left == nil {
					left = []data.Backlog{}
				}
				if err := printJSON(w, map[string]any{"drained": len(left) == 0, "backlogs": left}); err != nil {
					return err
				}
			case len(left) == 0:
				fmt.Fprintln(w, "Drained: nothing waits to be delivered.")
			default:
				g := newGrid(w, "broker", "trigger", "layout", "events left")
				g.right = []string{"events left"}
				for _, b := range left {
					g.add(b.Broker.String(), b.Trigger, b.Layout, b.Events)
				}
				g.print()
			}
			if len(left) > 0 {
				return errNotDrained
			}
			return nil
		},
	}
	o.flags(cmd, formTable, formJSON)
	return cmd
}
