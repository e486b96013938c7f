package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/job"
)

func newJobs() *cobra.Command {
	var (
		status, ticker, cursor string
		limit                  int
		asJSON                 bool
	)
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "List jobs, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s := job.State(strings.ToUpper(status)); status != "" && !s.Valid() {
				return usagef("--status must be QUEUED, RUNNING, COMPLETED or FAILED")
			}
			c, err := newClient()
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, value := range map[string]string{"status": strings.ToUpper(status), "ticker": ticker, "cursor": cursor} {
				if value != "" {
					q.Set(name, value)
				}
			}
			p, err := c.jobs(cmd.Context(), q)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), p)
			}
			t := newTable(cmd.OutOrStdout())
			t.AppendHeader(table.Row{"job", "ticker", "strategy", "status", "progress", "created", "took"})
			for _, j := range p.Jobs {
				t.AppendRow(table.Row{j.JobID, j.Ticker, j.Parameters.StrategyType, statusText(j), fmt.Sprintf("%d %%", j.Progress),
					j.CreatedAt.Local().Format(time.DateTime), took(j)})
			}
			t.Render()
			if p.NextCursor != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "More: sweepline jobs --cursor %s\n", p.NextCursor)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&status, "status", "", "only QUEUED, RUNNING, COMPLETED or FAILED")
	f.StringVar(&ticker, "ticker", "", "only this ticker")
	f.IntVar(&limit, "limit", 20, "how many, 1 to 100")
	f.StringVar(&cursor, "cursor", "", "go on after an earlier page")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newJob() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "job ID",
		Short: "Show a job: state, timeline, best results",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient()
			if err != nil {
				return err
			}
			j, err := c.job(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), j)
			}
			events, err := c.timeline(cmd.Context(), args[0])
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
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "Cancel a job that is not finished",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient()
			if err != nil {
				return err
			}
			if err := c.do(cmd.Context(), http.MethodPost, "/api/jobs/"+url.PathEscape(args[0])+"/cancel", nil, nil, nil); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Cancelling %s\n", args[0])
			return err
		},
	}
}

func newRetry() *cobra.Command {
	return &cobra.Command{
		Use:   "retry ID",
		Short: "Run a finished job's sweep again, as a new job",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient()
			if err != nil {
				return err
			}
			var a accepted
			if err := c.do(cmd.Context(), http.MethodPost, "/api/jobs/"+url.PathEscape(args[0])+"/retry", nil, nil, &a); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", a.JobID)
			return err
		},
	}
}
