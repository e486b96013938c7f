package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/local/bench"
	"github.com/zixly/sweepline/shared/servers"
)

func newBench() *cobra.Command {
	var (
		o       bench.Options
		form    output
		compare string
	)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure whole jobs on private servers",
		Long: `Runs the pipeline on private Redis and PostgreSQL servers, before a stub of the
trading API and one of Slack, and prints what it can do and what a job costs, each
figure beside what the machine can do at best. Only Linux tells all of it.

Figures are comparable on the same machine, equally busy; what is counted for one
job is everywhere nearly the same. --compare says what is worse than in an earlier
report (--json) and then exits with 1.`,
		Example: "  sweepline bench --json >before.json\n  sweepline bench --compare before.json\n  sweepline bench --only burst,job --fsync always --profile profiles",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range o.Only {
				if !slices.Contains(bench.Scenarios(), name) {
					return usagef("--only: %s is none of %s", name, strings.Join(bench.Scenarios(), ", "))
				}
			}
			var old *bench.Report
			if compare != "" {
				var err error
				if old, err = bench.Read(compare); err != nil {
					return usageError{err}
				}
			}
			o.Progress, o.Version = cmd.ErrOrStderr(), version
			r, err := bench.Run(cmd.Context(), o)
			if errors.Is(err, servers.ErrNotInstalled) {
				return fmt.Errorf("%w (install Redis and PostgreSQL)", err)
			}
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if form.isJSON() {
				err = printJSON(out, r)
			} else {
				err = r.WriteTable(out)
			}
			if err != nil || old == nil {
				return err
			}
			if form.isJSON() {
				out = cmd.ErrOrStderr()
			}
			return printChanges(out, r, old)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Jobs, "jobs", 3000, "jobs in a burst")
	f.IntVar(&o.Stored, "stored", 0, "completed jobs that the database has before a burst")
	f.IntVar(&o.Counted, "counted", 300, "jobs whose commands are counted one by one")
	f.IntVar(&o.Rate, "rate", 100, "jobs a second where they come at a rate")
	f.DurationVar(&o.Span, "span", 10*time.Second, "how long a load at a rate, a closed loop and idling last")
	f.IntVar(&o.Rounds, "rounds", 1, "how often everything is measured; the table has medians and spreads")
	f.StringSliceVar(&o.Fsync, "fsync", []string{"everysec", "always"}, "Redis' appendfsync")
	f.StringSliceVar(&o.Only, "only", nil, "scenarios: "+strings.Join(bench.Scenarios(), ", ")+" (default all)")
	f.StringVar(&o.Profile, "profile", "", "folder for profiles of the burst and of the paced run, for \"go tool pprof\"")
	form.flags(cmd, formTable, formJSON)
	f.StringVar(&compare, "compare", "", "an earlier report in JSON to compare with")
	cmd.AddCommand(newBenchWebhook(), newBenchHello())
	return cmd
}

// printChanges is an error where something got worse.
func printChanges(w io.Writer, r, old *bench.Report) error {
	worse, better := r.Compare(old)
	list := func(title string, changes []bench.Change) {
		fmt.Fprintf(w, "\n%s than on %s (%s): %d\n", title, old.At.Format("2006-01-02 15:04"), old.Version, len(changes))
		for _, c := range changes {
			fmt.Fprintf(w, "  %+6.0f %%  %s, fsync %s: %.4g, was %.4g\n", c.Worse*100, c.Title, c.Fsync, c.New, c.Old)
		}
	}
	list("Better", better)
	list("Worse", worse)
	if len(worse) > 0 {
		return fmt.Errorf("%d figures are worse", len(worse))
	}
	return nil
}

// newBenchHello is the limit that HTTP figures are compared with; bench starts it.
func newBenchHello() *cobra.Command {
	var port int
	cmd := &cobra.Command{
		Use:    "hello",
		Hidden: true,
		Short:  "Answer every request at once",
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return bench.Hello(cmd.Context(), port) },
	}
	cmd.Flags().IntVar(&port, "port", 0, "loopback port")
	return cmd
}
