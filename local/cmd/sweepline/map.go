package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
)

func newMap() *cobra.Command {
	var metric, stat string
	cmd := remote(&cobra.Command{
		Use:   "map ID",
		Short: "Draw a job's results as a heat map over fast and slow periods",
		Long: `Draws a job's results over fast (upward) and slow periods, as the job's page does. The
colours are those of the terminal: 24 bits where $COLORTERM says so, 256 where $TERM
does; else, with $NO_COLOR and into a file, characters from . to @ stand for them. X is
the best result. Where there are many periods, neighbours share a field.`,
		Example: "  sweepline map ID\n  sweepline map ID --metric drawdown --stat worst",
		Args:    cobra.ExactArgs(1),

		ValidArgsFunction: completeJobs("COMPLETED", false),
		RunE: func(cmd *cobra.Command, args []string) error {
			of, known := metricOf(metric)
			if !known {
				return usagef("--metric must be one of %s", strings.Join(metricNames(), ", "))
			}
			if !slices.Contains(heatmap.Stats, heatmap.Stat(stat)) {
				return usagef("--stat must be best, median or worst")
			}
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			id, err := jobID(cmd, c, args[0])
			if err != nil {
				return err
			}
			j, err := c.Job(ctx, id)
			if err != nil {
				return err
			}
			if j.Status != job.Completed {
				return fmt.Errorf("job %s is %s: it has no results to draw", id, j.Shown())
			}
			surface, err := surfaceOf(cmd, c, j)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "%s %s\n", printable(j.Ticker), printable(j.Parameters.StrategyType))
			warnMadeUp(w, j.Job)
			drawMap(w, surface.Map(of, heatmap.Stat(stat)), coloursOf(w))
			return nil
		},
	})
	f := cmd.Flags()
	f.StringVar(&metric, "metric", "score", strings.Join(metricNames(), ", "))
	f.StringVar(&stat, "stat", "best", "best, median or worst of the rows that share a field")
	_ = cmd.RegisterFlagCompletionFunc("metric", cobra.FixedCompletions(metricNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("stat", cobra.FixedCompletions([]string{"best", "median", "worst"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// surfaceOf reads a job's surface. Where the job has all of its rows, or the server is of a
// version that has no surfaces, it is computed from rows.
func surfaceOf(cmd *cobra.Command, c *api.Client, j api.Job) (heatmap.Surface, error) {
	ctx, rows := cmd.Context(), j.Results
	if j.Metrics != nil && j.Metrics.Combinations > len(rows) {
		text, err := c.Surface(ctx, j.JobID)
		if err == nil {
			return heatmap.ParseSurface(text)
		}
		if refused, ok := errors.AsType[*api.Error](err); !ok || refused.Status != http.StatusNotFound {
			return heatmap.Surface{}, err
		}
		if rows = nil; j.Metrics.Combinations > manyRows {
			fmt.Fprintf(cmd.ErrOrStderr(), "Reading %d rows\n", j.Metrics.Combinations)
		}
		for r, err := range c.AllResults(ctx, j.JobID, allRows) {
			if err != nil {
				return heatmap.Surface{}, err
			}
			rows = append(rows, r)
		}
	}
	surface, ok := heatmap.OfRows(rows, j.Parameters.Step)
	if !ok {
		return surface, fmt.Errorf("job %s has %s: too few for a map", j.JobID, counted(len(rows), "result"))
	}
	return surface, nil
}

// manyRows take so long to read that somebody may wonder.
const manyRows = 20_000

// shortMetrics are the names that rows are sorted by.
var shortMetrics = map[string]string{
	"sharpe_ratio": "sharpe", "sortino_ratio": "sortino", "total_return_pct": "return", "max_drawdown_pct": "drawdown", "win_rate_pct": "win_rate",
	"total_trades": "trades",
}

// metricNames are what --metric takes; the names in the rows' JSON are taken as well.
func metricNames() (names []string) {
	for _, m := range heatmap.Metrics {
		if short, has := shortMetrics[m.Name]; has {
			names = append(names, short)
		} else {
			names = append(names, m.Name)
		}
	}
	return names
}

// metricOf is the index of a metric by either of its names.
func metricOf(name string) (int, bool) {
	if at := slices.Index(metricNames(), name); at >= 0 {
		return at, true
	}
	at := slices.IndexFunc(heatmap.Metrics[:], func(m heatmap.Metric) bool { return m.Name == name })
	return at, at >= 0
}
