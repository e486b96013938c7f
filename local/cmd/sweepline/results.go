package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

// forms are those that results are printed in.
var forms = []string{"table", "json", "csv"}

// tableRows is how many rows a table has where nobody says.
const tableRows = 10

func newResults() *cobra.Command {
	var (
		filter      api.ResultFilter
		top         int
		form        string
		csv, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "results ID",
		Short: "Print a job's results: the best, those that meet conditions, or all",
		Example: `  sweepline results ID
  sweepline results ID --top 50 --sort sharpe --where 'trades>=30'
  sweepline results ID --where 'trades>=30,drawdown<=15' -o csv > rows.csv`,
		Args: cobra.ExactArgs(1),

		ValidArgsFunction: completeJobs("COMPLETED"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case csv:
				form = "csv"
			case asJSON:
				form = "json"
			}
			switch {
			case !slices.Contains(forms, form):
				return usagef("--output must be %s", strings.Join(forms, ", "))
			case cmd.Flags().Changed("top") && top < 1:
				return usagef("--top must be 1 or more")
			case form == "table" && top == 0:
				top = tableRows
			}
			filter.Limit = top
			c, err := newClient()
			if err != nil {
				return err
			}
			switch form {
			case "csv":
				return writeCSV(cmd, c, args[0], filter)
			case "json":
				return writeRows(cmd.OutOrStdout(), c.AllResults(cmd.Context(), args[0], filter))
			}
			return writeTable(cmd, c, args[0], filter)
		},
	}
	f := cmd.Flags()
	f.IntVar(&top, "top", 0, "how many rows (default: 10 in a table, else all)")
	f.StringVar(&filter.Sort, "sort", "", "what to sort by: score, sharpe, return, drawdown, trades, … (default score)")
	f.StringVar(&filter.Dir, "dir", "", "asc or desc (default: best first)")
	f.StringArrayVar(&filter.Where, "where", nil, "condition that rows meet, such as 'trades>=30'; may be repeated")
	f.StringVarP(&form, "output", "o", "table", "table, json or csv")
	f.BoolVar(&csv, "csv", false, "the same as -o csv")
	f.BoolVar(&asJSON, "json", false, "the same as -o json")
	cmd.MarkFlagsMutuallyExclusive("csv", "json", "output")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// maxDownload is how many rows one CSV download may be limited to.
const maxDownload = 10_000

func writeCSV(cmd *cobra.Command, c *api.Client, id string, f api.ResultFilter) error {
	if f.Limit > maxDownload {
		return usagef("--top must be at most %d with -o csv; leave it out for all rows", maxDownload)
	}
	rows, err := c.ResultsCSV(cmd.Context(), id, f)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if _, err := io.Copy(cmd.OutOrStdout(), plainText(rows)); err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	return nil
}

// writeRows prints rows as a JSON array, as they come.
func writeRows(w io.Writer, rows iter.Seq2[job.Row, error]) error {
	w = plainJSON{w}
	before := "[\n  "
	for r, err := range rows {
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(r, "  ", "  ")
		if err != nil {
			return fmt.Errorf("encode row: %w", err)
		}
		if _, err := fmt.Fprintf(w, "%s%s", before, text); err != nil {
			return err
		}
		before = ",\n  "
	}
	end := "\n]\n"
	if before == "[\n  " {
		end = "[]\n"
	}
	_, err := io.WriteString(w, end)
	return err
}

func writeTable(cmd *cobra.Command, c *api.Client, id string, f api.ResultFilter) error {
	j, err := c.Job(cmd.Context(), id)
	if err != nil {
		return err
	}
	var rows []job.Row
	for r, err := range c.AllResults(cmd.Context(), id, f) {
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	warnMadeUp(cmd.ErrOrStderr(), j.Job)
	printRows(cmd.OutOrStdout(), rows)
	return nil
}
