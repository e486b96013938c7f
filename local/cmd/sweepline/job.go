package main

import (
	"io"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

func newJob() *cobra.Command {
	var o output
	cmd := remote(&cobra.Command{
		Use:   "job ID",
		Short: "Show a job: state, timeline, best results",
		Args:  cobra.ExactArgs(1),

		ValidArgsFunction: completeJobs("", false),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			id, err := jobID(cmd, c, args[0])
			if err != nil {
				return err
			}
			j, err := c.Job(cmd.Context(), id)
			if err != nil {
				return err
			}
			return show(cmd, o, listing[api.Job]{
				items: []api.Job{j}, page: j, name: func(j api.Job) string { return j.JobID }, head: jobHead, record: jobRecord,
				table: func(w io.Writer, wide bool) error {
					events, err := c.Timeline(cmd.Context(), id)
					if err != nil {
						return err
					}
					printJobAnd(w, j, wide)
					printTimeline(w, events)
					return nil
				},
			})
		},
	})
	o.flags(cmd, allForms...)
	return cmd
}
