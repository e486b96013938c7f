package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

// newOnLetters makes the command of an act on dead letters.
func newOnLetters(act api.LetterAct, cmd *cobra.Command) *cobra.Command {
	var f api.DeadLetterFilter
	var all, dryRun bool
	var o output
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		b := api.BulkLetters{Act: act, DeadLetterFilter: f, All: all, DryRun: dryRun}
		if ways := map[bool]int{true: 1}[all] + map[bool]int{true: 1}[f != (api.DeadLetterFilter{})] + map[bool]int{true: 1}[len(args) > 0]; ways != 1 {
			return usagef("name dead letters, or say which: --trigger, --cause or --all")
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		t := &letterTally{act: act, dryRun: dryRun, letters: map[string]api.BulkLetter{}}
		err = t.sendAll(cmd.Context(), c, b, args, cmd.ErrOrStderr())
		if err != nil && len(t.letters) == 0 {
			return err
		}
		if err := t.print(cmd, o.isJSON()); err != nil {
			return err
		}
		if n := t.counts()[api.Missing]; err == nil && len(args) > 0 && n > 0 {
			return fmt.Errorf("%d of %d were not there\nThose that are: %s", n, len(t.order), again(cmd, "dead-letters"))
		}
		return err
	}
	cmd.ValidArgsFunction = completeLetters
	letterFlags(cmd, &f)
	cmd.Flags().BoolVar(&all, "all", false, "every dead letter")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say which these are, and do nothing")
	o.flags(cmd, formTable, formJSON)
	return remote(cmd)
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
		wait, why, err := waitFor(r.RetryAfter, err)
		t.add(r) // of an answer that is partly wrong too
		if err != nil {
			return "", err
		}
		if wait == 0 {
			return r.NextCursor, nil
		}
		(&reach{w: errs}).say(fmt.Sprintf("%s; going on in %s (Ctrl-C stops)", why, wait.Round(time.Second)))
		if err := sleep(ctx, wait); err != nil {
			return "", err
		}
	}
}

func (t *letterTally) print(cmd *cobra.Command, asJSON bool) error {
	w := cmd.OutOrStdout()
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
		fmt.Fprintf(w, "%s changes nothing: its job has ended.", printable(id))
		if of := t.letters[id].JobID; job.ValidID(of) {
			fmt.Fprintf(w, " Run the sweep again with: %s", again(cmd, "retry "+of))
		}
		fmt.Fprintln(w)
	}
	text := fmt.Sprintf("%d %s", n[api.Done], t.did())
	if missing := n[api.Missing]; missing > 0 {
		text += fmt.Sprintf(", %d not there any more", missing)
	}
	if left := n[api.Postponed]; left > 0 {
		text += fmt.Sprintf(", %d not processed: store unavailable", left)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// did says what was done with a letter.
func (t *letterTally) did() string {
	return map[api.LetterAct]string{api.ActRedrive: "sent again", api.ActDiscard: "discarded"}[t.act]
}
