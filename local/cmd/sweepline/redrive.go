package main

import (
	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

func newRedrive() *cobra.Command {
	return newOnLetters(api.ActRedrive, &cobra.Command{
		Use:   "redrive ID... | --all | --trigger T | --cause C",
		Short: "Send dead letters again",
		Long: `Gives dead letters to their subscribers again, with all their attempts. One that
fails again is a dead letter again.`,
		Example: "  sweepline redrive ID\n  sweepline redrive --trigger store --dry-run\n  sweepline redrive --cause 1f0c5a2b9d3e",
	})
}
