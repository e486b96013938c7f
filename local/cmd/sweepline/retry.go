package main

import (
	"fmt"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

func newRetry() *cobra.Command {
	return newMany(&many{act: api.ActRetry, states: "FAILED,CANCELLED"}, &cobra.Command{
		Use:   "retry ID... | --status failed ...",
		Short: "Run the sweeps of failed jobs again, as new jobs: by id, or all that filters find",
		Long: `Runs the sweep of a failed job again, as a new job. Of one job, each call makes
another. Of several, or of those that filters find, each is retried once, however
often the command is given: what was stopped half-way is given again.`,
		Example: "  sweepline retry ID\n  sweepline retry --status failed --since 2h --dry-run\n  sweepline retry --status failed --text 'timed out'",
	}, func(cmd *cobra.Command, c *api.Client, id string, asJSON bool) error {
		a, err := c.Retry(cmd.Context(), id, "")
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), a)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "New job, which repeats %s:\n", id)
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", a.JobID)
		return err
	})
}
