package main

import (
	"fmt"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

func newCancel() *cobra.Command {
	return newMany(&many{act: api.ActCancel, states: "QUEUED,RUNNING"}, &cobra.Command{
		Use:   "cancel ID... | --status queued ...",
		Short: "Cancel jobs that are not finished: by id, or all that filters find",
		Example: "  sweepline cancel ID\n  sweepline cancel --status queued --ticker DAX --dry-run\n" +
			"  sweepline cancel --status queued,running --since 2h",
	}, func(cmd *cobra.Command, c *api.Client, id string, asJSON bool) error {
		answer, err := c.Cancel(cmd.Context(), id)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), answer)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Cancelling %s\n", id)
		return err
	})
}
