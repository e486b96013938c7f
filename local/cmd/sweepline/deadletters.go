package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

// letterFlags are the flags that narrow dead letters.
func letterFlags(cmd *cobra.Command, f *api.DeadLetterFilter) {
	cmd.Flags().StringVar(&f.Trigger, "trigger", "", "those of this trigger")
	cmd.Flags().StringVar(&f.Cause, "cause", "", "those that failed alike: a cause of 'sweepline dead-letters --group'")
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
	var group, asJSON bool
	cmd := &cobra.Command{
		Use:     "dead-letters",
		Short:   "List events that could not be delivered, or what they failed of",
		Example: "  sweepline dead-letters --group\n  sweepline dead-letters --trigger store",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient()
			if err != nil {
				return err
			}
			if group {
				if f.Cause != "" {
					return usagef("--group lists causes; it takes no --cause")
				}
				return printCauses(cmd, c, f, asJSON)
			}
			letters, err := allDeadLetters(cmd.Context(), c, f)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), api.DeadLetterPage{DeadLetters: letters})
			}
			w := cmd.OutOrStdout()
			if len(letters) == 0 {
				return noLetters(w, f)
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
	letterFlags(cmd, &f)
	cmd.Flags().BoolVar(&group, "group", false, "what they failed of, and how many of each")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func noLetters(w io.Writer, f api.DeadLetterFilter) error {
	text := "No dead letters."
	if f != (api.DeadLetterFilter{}) {
		text = "No dead letter matches."
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// printCauses lists what dead letters failed of.
func printCauses(cmd *cobra.Command, c *api.Client, f api.DeadLetterFilter, asJSON bool) error {
	found, err := c.Causes(cmd.Context(), f.Trigger)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if asJSON {
		return printJSON(w, found)
	}
	if len(found.Causes) == 0 {
		return noLetters(w, f)
	}
	g := newGrid(w, "cause", "letters", "trigger", "code", "last", "reason")
	g.right, g.wraps, g.spare = []string{"letters"}, "reason", []string{"last", "code"}
	for _, one := range found.Causes {
		g.add(one.Cause, one.Count, one.Trigger, one.Code, one.Last.Local().Format(time.DateTime), one.Reason)
	}
	g.print()
	if !found.Complete {
		fmt.Fprintln(cmd.ErrOrStderr(), "There are more dead letters than were counted.")
	}
	return nil
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
	return newOnLetters(api.ActRedrive, &cobra.Command{
		Use:   "redrive ID... | --all | --trigger T | --cause C",
		Short: "Send dead letters again",
		Long: `Gives dead letters to their subscribers again, with all their attempts. One that
fails again is a dead letter again.`,
		Example: "  sweepline redrive ID\n  sweepline redrive --trigger store --dry-run\n  sweepline redrive --cause 1f0c5a2b9d3e",
	})
}

func newDiscard() *cobra.Command {
	return newOnLetters(api.ActDiscard, &cobra.Command{
		Use:     "discard ID... | --all | --trigger T | --cause C",
		Short:   "Forget dead letters",
		Example: "  sweepline discard ID\n  sweepline discard --cause 1f0c5a2b9d3e --dry-run",
	})
}

// newOnLetters makes the command of an act on dead letters.
func newOnLetters(act api.LetterAct, cmd *cobra.Command) *cobra.Command {
	var f api.DeadLetterFilter
	var all, dryRun, asJSON bool
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		b := api.BulkLetters{Act: act, DeadLetterFilter: f, All: all, DryRun: dryRun}
		if ways := map[bool]int{true: 1}[all] + map[bool]int{true: 1}[f != (api.DeadLetterFilter{})] + map[bool]int{true: 1}[len(args) > 0]; ways != 1 {
			return usagef("name dead letters, or say which: --trigger, --cause or --all")
		}
		c, err := newClient()
		if err != nil {
			return err
		}
		t := &letterTally{act: act, dryRun: dryRun, letters: map[string]api.BulkLetter{}}
		err = t.sendAll(cmd.Context(), c, b, args, cmd.ErrOrStderr())
		if err != nil && len(t.letters) == 0 {
			return err
		}
		if err := t.print(cmd.OutOrStdout(), asJSON); err != nil {
			return err
		}
		if n := t.counts()[api.Missing]; err == nil && len(args) > 0 && n > 0 {
			return fmt.Errorf("%d of %d were not there\n'sweepline dead-letters' lists those that are", n, len(t.order))
		}
		return err
	}
	letterFlags(cmd, &f)
	cmd.Flags().BoolVar(&all, "all", false, "every dead letter")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say which these are, and do nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// letterTally collects what becomes of dead letters over many calls.
type letterTally struct {
	act     api.LetterAct
	dryRun  bool
	order   []string
	letters map[string]api.BulkLetter
}

func (t *letterTally) add(r api.BulkLettersResult) {
	for _, one := range r.Letters {
		before, known := t.letters[one.ID]
		if !known {
			t.order = append(t.order, one.ID)
		}
		if before.Outcome != api.Done { // a letter that is done is missing when it is asked for again
			t.letters[one.ID] = one
		}
	}
}

func (t *letterTally) counts() map[api.Outcome]int {
	n := map[api.Outcome]int{}
	for _, one := range t.letters {
		n[one.Outcome]++
	}
	return n
}

// sendAll sends ids in parts, or goes through the pages of what b finds.
func (t *letterTally) sendAll(ctx context.Context, c *api.Client, b api.BulkLetters, ids []string, errs io.Writer) error {
	for part := range slices.Chunk(ids, api.MaxBulk) {
		b.IDs = part
		if _, err := t.send(ctx, c, b, errs); err != nil {
			return err
		}
	}
	for len(ids) == 0 {
		next, err := t.send(ctx, c, b, errs)
		if err != nil || next == "" {
			return err
		}
		b.Cursor = next
	}
	return nil
}

// send sends one call until nothing of it is postponed, and gives the next page.
func (t *letterTally) send(ctx context.Context, c *api.Client, b api.BulkLetters, errs io.Writer) (next string, err error) {
	for {
		r, err := c.ManyLetters(ctx, b)
		wait := time.Duration(r.RetryAfter) * time.Second
		if refused, ok := errors.AsType[*api.Error](err); ok && refused.Temporary() && refused.RetryAfter > 0 {
			err, wait = nil, min(refused.RetryAfter, maxWait)
		}
		if err != nil {
			return "", err
		}
		t.add(r)
		if wait == 0 {
			return r.NextCursor, nil
		}
		(&reach{w: errs}).say(fmt.Sprintf("a store does not answer; going on in %s (Ctrl-C stops)", wait))
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return "", ctx.Err()
		case <-timer.C:
		}
	}
}

func (t *letterTally) print(w io.Writer, asJSON bool) error {
	late := []string{}
	by := map[api.Outcome][]string{}
	for _, id := range t.order {
		one := t.letters[id]
		by[one.Outcome] = append(by[one.Outcome], id)
		if one.JobStatus != "" {
			late = append(late, id)
		}
	}
	n := t.counts()
	if asJSON {
		name := map[api.LetterAct]string{api.ActRedrive: "redriven", api.ActDiscard: "discarded"}[t.act]
		answer := map[string][]string{name: append([]string{}, by[api.Done]...)}
		if t.act == api.ActRedrive {
			answer["job_has_ended"] = late
		}
		for o, name := range map[api.Outcome]string{api.Matches: "matches", api.Missing: "missing", api.Postponed: "left"} {
			if len(by[o]) > 0 {
				answer[name] = by[o]
			}
		}
		return printJSON(w, answer)
	}
	if t.dryRun {
		for _, id := range by[api.Matches] {
			fmt.Fprintf(w, "%s  %s\n", printable(id), printable(t.letters[id].Trigger))
		}
		_, err := fmt.Fprintf(w, "Dry run: %d would be %s\n", n[api.Matches], t.did())
		return err
	}
	for _, id := range late {
		fmt.Fprintf(w, "%s changes nothing: its job has ended. Run the sweep again with 'sweepline retry %s'\n", printable(id), cmp.Or(printable(t.letters[id].JobID), "JOB"))
	}
	text := fmt.Sprintf("%d %s", n[api.Done], t.did())
	for o, word := range map[api.Outcome]string{api.Missing: "not there any more", api.Postponed: "left, as a store does not answer"} {
		if n[o] > 0 {
			text += fmt.Sprintf(", %d %s", n[o], word)
		}
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// did says what was done with a letter.
func (t *letterTally) did() string {
	return map[api.LetterAct]string{api.ActRedrive: "sent again", api.ActDiscard: "discarded"}[t.act]
}
