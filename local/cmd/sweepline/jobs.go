package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

func newJobs() *cobra.Command {
	var (
		status, ticker, sort, cursor, group string
		labels                              []string
		limit                               int
		asJSON, live                        bool
	)
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "List jobs, newest or best first, or follow them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			states := statesOf(status)
			for _, s := range states {
				if !s.Listed() {
					return usagef("--status must be QUEUED, RUNNING, COMPLETED, FAILED or CANCELLED, or several with commas between")
				}
			}
			if sort != "created" && sort != "score" {
				return usagef("--sort must be created or score")
			}
			if limit < 1 {
				return usagef("--limit must be 1 or more")
			}
			c, err := newClient()
			if err != nil {
				return err
			}
			if live {
				if sort == "score" || group != "" || len(labels) > 0 {
					return usagef("--follow takes --status and --ticker only")
				}
				if cursor != "" {
					return usagef("--follow goes on from now; it takes no --cursor")
				}
				if len(states) > 1 {
					return usagef("--follow takes one state for --status")
				}
				return runFollow(cmd, c, slices.Concat(states, []job.State{""})[0], ticker, asJSON)
			}
			filter := api.JobFilter{Ticker: ticker, Group: group, Labels: labels, Cursor: cursor, Limit: limit}
			filter.Status = states
			if sort == "score" {
				filter.Sort = api.BestFirst
			}
			p, err := c.Jobs(cmd.Context(), filter)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), p)
			}
			w := cmd.OutOrStdout()
			if len(p.Jobs) == 0 {
				_, err := fmt.Fprintln(w, "No jobs. Send one with 'sweepline submit'.")
				return err
			}
			printJobs(w, p.Jobs)
			if p.NextCursor != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "More: sweepline jobs%s --cursor %s\n", flagsBut(cmd, "cursor"), p.NextCursor)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&status, "status", "", "only QUEUED, RUNNING, COMPLETED, FAILED or CANCELLED; several with commas between")
	f.StringVar(&ticker, "ticker", "", "only this ticker")
	f.StringVar(&group, "group", "", "only the jobs of this group")
	f.StringSliceVar(&labels, "label", nil, "only jobs with this label; with all of several, comma between")
	f.StringVar(&sort, "sort", "created", "created (newest first) or score (best score first; jobs without one come last)")
	f.IntVar(&limit, "limit", 20, "how many, 1 to 100")
	f.StringVar(&cursor, "cursor", "", "go on after an earlier page")
	f.BoolVarP(&live, "follow", "f", false, "print every change as it happens, until Ctrl-C (with --json: one object a line)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions([]string{"created", "score"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions([]string{"QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func printJobs(w io.Writer, all []api.Job) {
	labelled := slices.ContainsFunc(all, func(j api.Job) bool { return len(j.Labels) > 0 })
	head := []any{"job", "ticker", "strategy", "status", "progress", "score", "created", "took", "left", "labels"}
	if !labelled {
		head = head[:len(head)-1]
	}
	g := newGrid(w, head...)
	g.right = []string{"progress", "score", "took", "left"}
	g.spare = []string{"labels", "strategy", "created", "left", "took", "progress"}
	for _, j := range all {
		cells := []any{
			j.JobID, printable(j.Ticker), j.Parameters.StrategyType, coloured(paint(w, j.Shown(), listedStatus(j))), progressText(j),
			bestScore(j), j.CreatedAt.Local().Format(time.DateTime), took(j), left(j), strings.Join(j.Labels, ", "),
		}
		g.add(cells[:len(head)]...)
	}
	g.print()
}

// flagsBut are the flags that were given, but for one, as they are given again.
func flagsBut(cmd *cobra.Command, name string) (text string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name == name {
			return
		}
		values := []string{f.Value.String()}
		if many, ok := f.Value.(pflag.SliceValue); ok {
			values = many.GetSlice()
		}
		for _, value := range values {
			if text += " --" + f.Name; f.Value.Type() != "bool" {
				text += " " + quoted(value)
			}
		}
	})
	return text
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.,:/=+", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func newJob() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "job ID",
		Short: "Show a job: state, timeline, best results",
		Args:  cobra.ExactArgs(1),

		ValidArgsFunction: completeJobs(""),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient()
			if err != nil {
				return err
			}
			j, err := c.Job(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), j)
			}
			events, err := c.Timeline(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			printJob(cmd.OutOrStdout(), j)
			printTimeline(cmd.OutOrStdout(), events)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newWatch() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "watch ID",
		Short: "Follow a job to its end",
		Args:  cobra.ExactArgs(1),

		ValidArgsFunction: completeJobs("QUEUED,RUNNING"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient()
			if err != nil {
				return err
			}
			return watchJob(cmd, c, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

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
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", a.JobID)
		return err
	})
}

// completeJobs offers the newest jobs in these states ("" for all) to a shell.
func completeJobs(states string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := newClient()
		if err != nil || len(args) > 0 && !strings.Contains(cmd.Use, "...") {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		filter := api.JobFilter{Limit: 50}
		for _, s := range strings.FieldsFunc(states, func(r rune) bool { return r == ',' }) {
			filter.Status = append(filter.Status, job.State(s))
		}
		p, err := c.Jobs(cmd.Context(), filter)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var ids []string
		for _, j := range p.Jobs {
			ids = append(ids, cobra.CompletionWithDesc(j.JobID, printable(j.Ticker)+" "+string(j.Shown())))
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
