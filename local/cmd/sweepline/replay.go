package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

// findTrigger finds one by its name, or by NAMESPACE/BROKER/NAME where several have
// it.
func findTrigger(ctx context.Context, c *api.Client, name string) (api.TriggerName, error) {
	b, err := c.Broker(ctx)
	if err != nil {
		return api.TriggerName{}, err
	}
	var found []api.TriggerName
	var known []string
	for _, t := range b.Triggers {
		if t.Name == name || t.String() == name {
			found = append(found, t.TriggerName)
		}
		known = append(known, t.Name)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return api.TriggerName{}, usagef("there is no trigger %s: name one of %s", name, strings.Join(known, ", "))
	default:
		return api.TriggerName{}, usagef("several triggers are called %s: name one as NAMESPACE/BROKER/NAME, as %s", name, found[0])
	}
}

func newReplay() *cobra.Command {
	var name, since string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "replay --trigger T --since 2h",
		Short: "Deliver a trigger's events again",
		Long: `Delivers again what a trigger was or was not given since then, as far as the
stream still holds it. Other triggers are not touched, and all steps take repeats:
nothing is done twice. The triggers are listed on the dashboard under Broker.`,
		Example: "  sweepline replay --trigger store --since 2h\n  sweepline replay --trigger store --since 2026-01-31T12:00:00Z",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient()
			if err != nil {
				return err
			}
			t, err := findTrigger(cmd.Context(), c, name)
			if err != nil {
				return err
			}
			s, err := c.Replay(cmd.Context(), t, since)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", s.Trigger, s.Message)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "trigger", "", "its name, or NAMESPACE/BROKER/NAME")
	f.StringVar(&since, "since", "", "how long ago, as 2h, or a time, as 2026-01-31T12:00:00Z")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("trigger")
	_ = cmd.MarkFlagRequired("since")
	_ = cmd.RegisterFlagCompletionFunc("trigger", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := newClient()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		b, err := c.Broker(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, t := range b.Triggers {
			names = append(names, t.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}
