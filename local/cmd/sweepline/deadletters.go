package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

// allDeadLetters reads the list, all pages of it.
func allDeadLetters(ctx context.Context, c *api.Client) ([]api.DeadLetter, error) {
	all := []api.DeadLetter{}
	filter := api.DeadLetterFilter{Limit: 100}
	for {
		page, err := c.DeadLetters(ctx, filter)
		if err != nil {
			return nil, err
		}
		all = append(all, page.DeadLetters...)
		if page.NextCursor == "" {
			return all, nil
		}
		filter.Cursor = page.NextCursor
	}
}

func newDeadLetters() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "dead-letters",
		Short: "List events that could not be delivered",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient()
			if err != nil {
				return err
			}
			letters, err := allDeadLetters(cmd.Context(), c)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), api.DeadLetterPage{DeadLetters: letters})
			}
			w := cmd.OutOrStdout()
			if len(letters) == 0 {
				_, err := fmt.Fprintln(w, "No dead letters: every event found its way.")
				return err
			}
			g := newGrid(w, "id", "what", "trigger", "event", "attempts", "time", "reason")
			g.right, g.wraps, g.spare = []string{"attempts"}, "reason", []string{"event", "attempts", "time", "trigger"}
			for _, l := range letters {
				g.add(l.ID, l.Undone, printable(l.Trigger), printable(l.EventID), l.Attempts, l.Time.Local().Format(time.DateTime), reasonText(l.Reason))
			}
			g.print()
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// reasonText is a reason as its subscriber said it: our own steps answer with JSON.
func reasonText(reason string) string {
	var body struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(reason), &body) == nil && body.Error != "" {
		reason = body.Error
	}
	return strings.Join(strings.Fields(printable(reason)), " ")
}

func newRedrive() *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "redrive ID | --all",
		Short: "Send a dead letter again",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return usagef("name one dead letter, or --all")
			}
			c, err := newClient()
			if err != nil {
				return err
			}
			if all {
				letters, err := allDeadLetters(cmd.Context(), c)
				if err != nil {
					return err
				}
				args = nil
				for _, l := range letters {
					args = append(args, l.ID)
				}
			}
			late := []string{}
			for _, id := range args {
				answer, err := c.Redrive(cmd.Context(), id)
				if err != nil {
					return fmt.Errorf("redrive %s: %w", id, err)
				}
				if answer.JobStatus != "" {
					late = append(late, id)
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string][]string{"redriven": append([]string{}, args...), "job_has_ended": late})
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "Sent %d again\n", len(args))
			for _, id := range late {
				fmt.Fprintf(w, "%s changes nothing: its job has ended. Run the sweep again with 'sweepline retry JOB'\n", id)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every dead letter")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newDiscard() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "discard ID",
		Short: "Forget a dead letter",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient()
			if err != nil {
				return err
			}
			if _, err := c.Discard(cmd.Context(), args[0]); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{"discarded": args[0]})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Discarded %s\n", args[0])
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
