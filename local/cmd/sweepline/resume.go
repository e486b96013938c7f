package main

import (
	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

func newResume() *cobra.Command {
	return newSteer(&cobra.Command{
		Use:   "resume TRIGGER...",
		Short: "Deliver what waits for paused triggers",
	}, func(cmd *cobra.Command, c *api.Client, t api.TriggerName) (api.Steered, error) {
		return c.Resume(cmd.Context(), t)
	})
}
