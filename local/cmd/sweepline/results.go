package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newResults() *cobra.Command {
	var csv, asJSON bool
	cmd := &cobra.Command{
		Use:   "results ID",
		Short: "Print a job's best results, or all rows as CSV",
		Args:  cobra.ExactArgs(1),

		ValidArgsFunction: completeJobs("COMPLETED"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient()
			if err != nil {
				return err
			}
			if csv {
				rows, err := c.ResultsCSV(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				defer func() { _ = rows.Close() }()
				if _, err := io.Copy(cmd.OutOrStdout(), plainText(rows)); err != nil {
					return fmt.Errorf("read results: %w", err)
				}
				return nil
			}
			j, err := c.Job(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), j.Results)
			}
			warnMadeUp(cmd.ErrOrStderr(), j.Job)
			printRows(cmd.OutOrStdout(), j.Results)
			return nil
		},
	}
	cmd.Flags().BoolVar(&csv, "csv", false, "every row, as CSV")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("csv", "json")
	return cmd
}
