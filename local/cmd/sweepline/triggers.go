package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

func newTriggers() *cobra.Command {
	var o output
	cmd := remote(&cobra.Command{
		Use:   "triggers",
		Short: "List the broker's triggers: what they deliver, what waits, what fails",
		Long: `Lists the broker's triggers. LAG counts events that nobody has claimed yet, IN FLIGHT
those that are being delivered, FAILING those between two attempts; OLDEST is the age
of the oldest of all these. It is for operators.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			b, err := c.Broker(cmd.Context())
			if err != nil {
				return err
			}
			return show(cmd, o, listing[api.Trigger]{
				items: b.Triggers, page: append([]api.Trigger{}, b.Triggers...), // not null
				name: func(t api.Trigger) string { return t.String() },
				head: []string{"namespace", "broker", "name", "state", "lag", "in_flight", "failing", "dead_letters", "oldest_seconds", "consumers", "subscriber", "filter"},
				record: func(t api.Trigger) []string {
					oldest := t.OldestAge.Seconds()
					return []string{
						t.Namespace, t.Broker, t.Name, triggerState(t), number(t.Lag), number(t.Pending), number(t.Retries), number(t.DeadLetters),
						csvFloat(&oldest), number(t.Consumers), t.Subscriber, t.Filter,
					}
				},
				table: func(w io.Writer, wide bool) error { return printTriggers(w, b.Triggers, wide) },
			})
		},
	})
	o.flags(cmd, allForms...)
	return cmd
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func printTriggers(w io.Writer, all []api.Trigger, wide bool) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "No triggers.")
		return err
	}
	head := []any{"trigger", "state", "lag", "in flight", "failing", "dead letters", "oldest"}
	if wide {
		head = append(head, "consumers", "ordered", "subscriber", "filter")
	}
	g := newGrid(w, head...)
	g.right = []string{"lag", "in flight", "failing", "dead letters", "oldest", "consumers"}
	g.wide = wide
	names := map[string]int{}
	for _, t := range all {
		names[t.Name]++
	}
	for _, t := range all {
		name := t.Name
		if names[name] > 1 || wide {
			name = t.String()
		}
		cells := []any{name, triggerState(t), t.Lag, t.Pending, t.Retries, t.DeadLetters, age(t.OldestAge), t.Consumers, map[bool]string{true: "yes"}[t.Ordered], t.Subscriber, t.Filter}
		g.add(cells[:len(head)]...)
	}
	g.print()
	return nil
}

// failingAfter is the age of a Trigger's oldest event from which on its retries are worth
// a word, as on the dashboard.
const failingAfter = 10 * time.Second

// triggerState is what a trigger does, in a word.
func triggerState(t api.Trigger) string {
	switch {
	case t.Removed:
		return "removed"
	case t.Paused:
		return "paused"
	case t.Retries > 0 && t.OldestAge >= failingAfter:
		return "failing"
	case t.Retries > 0:
		return "retrying"
	}
	return "delivering"
}

// age is a length of time in a cell; empty for none.
func age(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// findTrigger finds one by its name, or by NAMESPACE/BROKER/NAME where several have
// it.
func findTrigger(ctx context.Context, c *api.Client, name string) (api.TriggerName, error) {
	b, err := c.Broker(ctx)
	if err != nil {
		return api.TriggerName{}, err
	}
	var found []api.TriggerName
	var known []string
	for _, t := range b.Triggers {
		if t.Name == name || t.String() == name {
			found = append(found, t.TriggerName)
		}
		known = append(known, t.Name)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if len(known) == 0 {
			return api.TriggerName{}, fmt.Errorf("there is no trigger %s: the broker has no triggers", quoted(name))
		}
		return api.TriggerName{}, fmt.Errorf("there is no trigger %s: name one of %s", quoted(name), strings.Join(known, ", "))
	default:
		return api.TriggerName{}, usagef("several triggers are called %s: name one as NAMESPACE/BROKER/NAME, as %s", quoted(name), found[0])
	}
}

// completeTriggers offers their names to a shell.
func completeTriggers(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := newClient(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	b, err := c.Broker(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, t := range b.Triggers {
		names = append(names, cobra.CompletionWithDesc(printable(t.Name), triggerState(t)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// newSteer makes a command that changes triggers, one after another.
func newSteer(cmd *cobra.Command, act func(*cobra.Command, *api.Client, api.TriggerName) (api.Steered, error)) *cobra.Command {
	var o output
	cmd.Args, cmd.ValidArgsFunction = cobra.MinimumNArgs(1), completeTriggers
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var named []api.TriggerName
		for _, name := range args { // all of them, before anything is done
			t, err := findTrigger(cmd.Context(), c, name)
			if err != nil {
				return err
			}
			named = append(named, t)
		}
		for _, t := range named { // each is told at once: the next one may fail
			s, err := act(cmd, c, t)
			if err != nil {
				return err
			}
			if o.isJSON() {
				err = printJSONL(cmd.OutOrStdout(), []api.Steered{s})
			} else {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", printable(s.Trigger), printable(s.Message))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	o.flags(cmd, formTable, formJSON)
	return remote(cmd)
}
