package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"

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
				resp, err := c.open(cmd.Context(), http.MethodGet, "/api/jobs/"+url.PathEscape(args[0])+"/results.csv", nil, nil)
				if err != nil {
					return err
				}
				defer func() { _ = resp.Body.Close() }()
				if _, err := io.Copy(cmd.OutOrStdout(), plainText(resp.Body)); err != nil {
					return fmt.Errorf("read results: %w", err)
				}
				return nil
			}
			j, err := c.job(cmd.Context(), args[0])
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
