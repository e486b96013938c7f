package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newReplay() *cobra.Command {
	var name, since string
	var o output
	cmd := remote(&cobra.Command{
		Use:   "replay --trigger T --since 2h",
		Short: "Deliver a trigger's events again",
		Long: `Delivers again what a trigger was or was not given since then, as far as the
stream still holds it. Other triggers are not touched, and all steps take repeats:
nothing is done twice. 'sweepline triggers' lists them.`,
		Example: "  sweepline replay --trigger store --since 2h\n  sweepline replay --trigger store --since 2026-01-31T12:00:00Z",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd)
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
			if o.isJSON() {
				return printJSON(cmd.OutOrStdout(), s)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", printable(s.Trigger), printable(s.Message))
			return err
		},
	})
	f := cmd.Flags()
	f.StringVar(&name, "trigger", "", "its name, or NAMESPACE/BROKER/NAME")
	f.StringVar(&since, "since", "", "how long ago, as 2h, or a time, as 2026-01-31T12:00:00Z")
	o.flags(cmd, formTable, formJSON)
	_ = cmd.MarkFlagRequired("trigger")
	_ = cmd.MarkFlagRequired("since")
	_ = cmd.RegisterFlagCompletionFunc("trigger", completeTriggers)
	return cmd
}
