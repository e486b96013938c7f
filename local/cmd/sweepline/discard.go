package main

import (
	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

func newDiscard() *cobra.Command {
	return newOnLetters(api.ActDiscard, &cobra.Command{
		Use:     "discard ID... | --all | --trigger T | --cause C",
		Short:   "Forget dead letters",
		Example: "  sweepline discard ID\n  sweepline discard --cause 1f0c5a2b9d3e --dry-run",
	})
}
