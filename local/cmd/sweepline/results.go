package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

// tableRows is how many rows a table has where nobody says.
const tableRows = 10

func newResults() *cobra.Command {
	var (
		filter api.ResultFilter
		top    int
		o      output
	)
	cmd := remote(&cobra.Command{
		Use:   "results ID",
		Short: "Print a job's results: the best, those that meet conditions, or all",
		Example: `  sweepline results ID
  sweepline results ID -n 50 --sort sharpe --where 'trades>=30'
  sweepline results ID --where 'trades>=30,drawdown<=15' -o csv > rows.csv`,
		Args: cobra.ExactArgs(1),

		ValidArgsFunction: completeJobs("COMPLETED", false),
		RunE: func(cmd *cobra.Command, args []string) error {
			isTable := o.form == formTable || o.form == formWide
			switch {
			case cmd.Flags().Changed("top") && top < 1:
				return usagef("--top must be 1 or more")
			case isTable && top == 0:
				top = tableRows
			}
			filter.Limit = top
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			id, err := jobID(cmd, c, args[0])
			switch w := cmd.OutOrStdout(); {
			case err != nil:
				return err
			case isTable:
				return writeTable(cmd, c, id, filter, o.form == formWide)
			case o.form == formCSV:
				return writeCSV(cmd, c, id, filter)
			case o.form == formJSON:
				return writeRows(w, c.AllResults(cmd.Context(), id, filter))
			default:
				return writeLines(w, c.AllResults(cmd.Context(), id, filter), o.form == formName)
			}
		},
	})
	f := cmd.Flags()
	f.IntVarP(&top, "top", "n", 0, "how many rows (default: 10 in a table, else all)")
	f.StringVar(&filter.Sort, "sort", "", "what to sort by: score, sharpe, return, drawdown, trades, … (default score)")
	f.StringVar(&filter.Dir, "dir", "", "asc or desc (default: best first)")
	f.StringArrayVarP(&filter.Where, "where", "w", nil, "condition that rows meet, such as 'trades>=30'; may be repeated")
	o.flags(cmd, allForms...)
	o.alias(cmd, formCSV)
	cmd.MarkFlagsMutuallyExclusive("csv", "json")
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

// writeLines prints rows as they come, each in a line: as JSON, or its name.
func writeLines(w io.Writer, rows iter.Seq2[job.Row, error], names bool) error {
	enc := json.NewEncoder(plainJSON{w})
	for r, err := range rows {
		switch {
		case err != nil:
			return err
		case names:
			_, err = fmt.Fprintln(w, printable(rowName(r)))
		default:
			err = enc.Encode(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rowName names a row among those of its job: SMA-10-50, or MACD-12-26-9.
func rowName(r job.Row) string {
	name := fmt.Sprintf("%s-%d-%d", r.StrategyType, r.FastPeriod, r.SlowPeriod)
	if r.SignalPeriod != nil {
		name += fmt.Sprintf("-%d", *r.SignalPeriod)
	}
	return name
}

func writeTable(cmd *cobra.Command, c *api.Client, id string, f api.ResultFilter, wide bool) error {
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
	printRows(cmd.OutOrStdout(), rows, wide)
	return nil
}
