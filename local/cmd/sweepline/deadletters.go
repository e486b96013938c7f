package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

// letterFlags are the flags that narrow dead letters.
func letterFlags(cmd *cobra.Command, f *api.DeadLetterFilter) {
	cmd.Flags().StringVar(&f.Trigger, "trigger", "", "those of this trigger")
	cmd.Flags().StringVar(&f.Cause, "cause", "", "those with the same cause: one of 'sweepline dead-letters --group'")
	_ = cmd.RegisterFlagCompletionFunc("trigger", completeTriggers)
}

// allDeadLetters reads the list, all pages of it.
func allDeadLetters(ctx context.Context, c *api.Client, filter api.DeadLetterFilter) ([]api.DeadLetter, error) {
	all := []api.DeadLetter{}
	filter.Limit = 100
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
	var f api.DeadLetterFilter
	var group bool
	var o output
	cmd := remote(&cobra.Command{
		Use:     "dead-letters",
		Short:   "List events that could not be delivered, or their failure causes",
		Example: "  sweepline dead-letters --group\n  sweepline dead-letters --trigger store",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			if group {
				if f.Cause != "" {
					return usagef("--group lists causes; it takes no --cause")
				}
				return printCauses(cmd, c, f, o)
			}
			letters, err := allDeadLetters(cmd.Context(), c, f)
			if err != nil {
				return err
			}
			return show(cmd, o, listing[api.DeadLetter]{
				items: letters, page: api.DeadLetterPage{DeadLetters: letters},
				name: func(l api.DeadLetter) string { return l.ID },
				head: []string{"id", "what", "trigger", "type", "event_id", "job_id", "attempts", "code", "cause", "taken", "time", "reason"},
				record: func(l api.DeadLetter) []string {
					return []string{
						l.ID, l.Undone, l.Trigger, l.Type, l.EventID, l.JobID, strconv.Itoa(l.Attempts), strconv.Itoa(l.Code), l.Cause, strconv.FormatBool(l.Taken),
						csvTime(&l.Time), reasonText(l.Reason),
					}
				},
				table: func(w io.Writer, wide bool) error { return printLetters(w, letters, f, wide) },
			})
		},
	})
	letterFlags(cmd, &f)
	cmd.Flags().BoolVar(&group, "group", false, "failure causes, and how many of each")
	o.flags(cmd, allForms...)
	return cmd
}

// printLetters prints a table of dead letters: what their subscribers said, not how.
func printLetters(w io.Writer, letters []api.DeadLetter, f api.DeadLetterFilter, wide bool) error {
	if len(letters) == 0 {
		return noLetters(w, f)
	}
	head := []any{"id", "what", "trigger", "attempts", "time", "reason"}
	if wide {
		head = append(head, "code", "cause", "event", "job")
	}
	g := newGrid(w, head...)
	g.right, g.wraps, g.spare, g.wide = []string{"attempts", "code"}, "reason", []string{"trigger", "attempts", "time", "what"}, wide
	for _, l := range letters {
		cells := []any{l.ID, l.Undone, l.Trigger, l.Attempts, l.Time.Local().Format(time.DateTime), reasonText(l.Reason), l.Code, l.Cause, l.EventID, l.JobID}
		g.add(cells[:len(head)]...)
	}
	g.print()
	return nil
}

func noLetters(w io.Writer, f api.DeadLetterFilter) error {
	text := "No dead letters."
	if f != (api.DeadLetterFilter{}) {
		text = "No dead letter matches."
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// printCauses lists the failure causes of dead letters.
func printCauses(cmd *cobra.Command, c *api.Client, f api.DeadLetterFilter, o output) error {
	found, err := c.Causes(cmd.Context(), f.Trigger)
	if err != nil {
		return err
	}
	found.Causes = append([]api.Cause{}, found.Causes...) // not null
	err = show(cmd, o, listing[api.Cause]{
		items: found.Causes, page: found, name: func(c api.Cause) string { return c.Cause },
		head: []string{"cause", "count", "trigger", "code", "first", "last", "reason", "example"},
		record: func(c api.Cause) []string {
			return []string{c.Cause, strconv.Itoa(c.Count), c.Trigger, strconv.Itoa(c.Code), csvTime(&c.First), csvTime(&c.Last), reasonText(c.Reason), c.Example}
		},
		table: func(w io.Writer, wide bool) error {
			if len(found.Causes) == 0 {
				return noLetters(w, f)
			}
			g := newGrid(w, "cause", "letters", "trigger", "code", "last", "reason")
			g.right, g.wraps, g.spare, g.wide = []string{"letters"}, "reason", []string{"last", "code"}, wide
			for _, one := range found.Causes {
				g.add(one.Cause, one.Count, one.Trigger, one.Code, one.Last.Local().Format(time.DateTime), reasonText(one.Reason))
			}
			g.print()
			return nil
		},
	})
	if err == nil && !found.Complete && o.form != formJSON {
		fmt.Fprintln(cmd.ErrOrStderr(), "There are more dead letters than were counted.")
	}
	return err
}

// cutReason is the beginning of a JSON answer that was cut off where it became too long.
var cutReason = regexp.MustCompile(`^\s*\{\s*"(?:error|detail|title|message)"\s*:\s*"((?:[^"\\]|\\.)*)`)

// reasonText is a reason as its subscriber said it, in one line: our own steps, and many
// others, answer with JSON.
func reasonText(reason string) string {
	var body struct{ Error, Detail, Title, Message any }
	if err := json.Unmarshal([]byte(reason), &body); err == nil {
		for _, said := range []any{body.Error, body.Detail, body.Message, body.Title} {
			if text, ok := said.(string); ok && text != "" {
				reason = text
				break
			}
		}
	} else if cut := cutReason.FindStringSubmatch(reason); cut != nil {
		reason = strings.NewReplacer(`\"`, `"`, `\n`, " ", `\t`, " ", `\\`, `\`).Replace(cut[1]) + " …"
	}
	return strings.Join(strings.Fields(printable(reason)), " ")
}

// completeLetters offers dead letters to a shell.
func completeLetters(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := newClient(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	page, err := c.DeadLetters(cmd.Context(), api.DeadLetterFilter{Limit: 50})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ids []string
	for _, l := range page.DeadLetters {
		ids = append(ids, cobra.CompletionWithDesc(printable(l.ID), printable(l.Undone)))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
