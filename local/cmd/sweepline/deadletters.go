package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// deadLetter is an event that could not be delivered.
type deadLetter struct {
	ID       string    `json:"id"`
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

func (c *client) deadLetters(cmd *cobra.Command) (deadLetters, error) {
	var d deadLetters
	err := c.do(cmd.Context(), http.MethodGet, "/api/dead-letters", nil, nil, &d)
	return d, err
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
				return printJSON(cmd.OutOrStdout(), d)
			}
			t := newTable(cmd.OutOrStdout())
			t.AppendHeader(table.Row{"id", "trigger", "event", "attempts", "reason", "time"})
			for _, l := range d.DeadLetters {
				t.AppendRow(table.Row{l.ID, l.Trigger, l.EventID, l.Attempts, l.Reason, l.Time.Local().Format(time.DateTime)})
			}
			t.Render()
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newRedrive() *cobra.Command {
	var all bool
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
			for _, id := range args {
				if err := c.do(cmd.Context(), http.MethodPost, "/api/dead-letters/"+url.PathEscape(id)+"/redrive", nil, nil, nil); err != nil {
					return fmt.Errorf("redrive %s: %w", id, err)
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Sent %d again\n", len(args))
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every dead letter on the first page")
	return cmd
}

func newDiscard() *cobra.Command {
	return &cobra.Command{
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
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Discarded %s\n", args[0])
			return err
		},
	}
}
