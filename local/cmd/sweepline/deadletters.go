package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// deadLetter is an event that could not be delivered.
type deadLetter struct {
	ID       string    `json:"id"`
	Undone   string    `json:"undone"`
	Trigger  string    `json:"trigger"`
	Type     string    `json:"type"`
	EventID  string    `json:"event_id"`
	JobID    string    `json:"job_id"`
	Attempts int       `json:"attempts"`
	Reason   string    `json:"reason"`
	Time     time.Time `json:"time"`
}

type deadLetters struct {
	DeadLetters []deadLetter `json:"dead_letters"`
}

// deadLetters reads the list, all pages of it.
func (c *client) deadLetters(cmd *cobra.Command) (deadLetters, error) {
	var all deadLetters
	cursor := ""
	for {
		page := struct {
			deadLetters

			Next string `json:"next_cursor"`
		}{}
		path := "/api/dead-letters?" + url.Values{"limit": {"100"}, "cursor": {cursor}}.Encode()
		if cursor == "" {
			path = "/api/dead-letters?limit=100"
		}
		if err := c.do(cmd.Context(), http.MethodGet, path, nil, nil, &page); err != nil {
			return all, err
		}
		all.DeadLetters = append(all.DeadLetters, page.DeadLetters...)
		if page.Next == "" {
			return all, nil
		}
		cursor = page.Next
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
			d, err := c.deadLetters(cmd)
			if err != nil {
				return err
			}
			if asJSON {
				if d.DeadLetters == nil {
					d.DeadLetters = []deadLetter{}
				}
				return printJSON(cmd.OutOrStdout(), d)
			}
			w := cmd.OutOrStdout()
			if len(d.DeadLetters) == 0 {
				_, err := fmt.Fprintln(w, "No dead letters: every event found its way.")
				return err
			}
			g := newGrid(w, "id", "what", "trigger", "event", "attempts", "time", "reason")
			g.right, g.wraps, g.spare = []string{"attempts"}, "reason", []string{"event", "attempts", "time", "trigger"}
			for _, l := range d.DeadLetters {
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
				d, err := c.deadLetters(cmd)
				if err != nil {
					return err
				}
				args = nil
				for _, l := range d.DeadLetters {
					args = append(args, l.ID)
				}
			}
			late := []string{}
			for _, id := range args {
				var answer struct {
					JobStatus string `json:"job_status"`
				}
				if err := c.do(cmd.Context(), http.MethodPost, "/api/dead-letters/"+url.PathEscape(id)+"/redrive", nil, nil, &answer); err != nil {
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
			if err := c.do(cmd.Context(), http.MethodDelete, "/api/dead-letters/"+url.PathEscape(args[0]), nil, nil, nil); err != nil {
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
