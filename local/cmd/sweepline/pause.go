package main

import (
	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

func newPause() *cobra.Command {
	return newSteer(&cobra.Command{
		Use:     "pause TRIGGER...",
		Short:   "Stop the deliveries of triggers; their events wait",
		Example: "  sweepline pause notify\n  sweepline resume notify",
	}, func(cmd *cobra.Command, c *api.Client, t api.TriggerName) (api.Steered, error) {
		return c.Pause(cmd.Context(), t)
	})
}
