package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
)

// many are the flags of an act on many jobs.
type many struct {
	act api.Act
	// states are those of jobs that a shell offers.
	states string

	which  whichJobs
	dryRun bool
	out    output
}

// newMany makes the command of an act. one acts on a single job that is named.
func newMany(m *many, cmd *cobra.Command, one func(cmd *cobra.Command, c *api.Client, id string, asJSON bool) error) *cobra.Command {
	cmd.ValidArgsFunction = completeJobs(m.states, true)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		b, err := m.bulk(args, time.Now())
		if err != nil {
			return err
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		ids, err := jobIDs(cmd, c, args)
		if err != nil {
			return err
		}
		if len(ids) == 1 && !m.dryRun {
			return one(cmd, c, ids[0], m.out.isJSON())
		}
		return m.run(cmd, c, b, ids)
	}
	m.which.flags(cmd, m.states)
	f := cmd.Flags()
	f.BoolVar(&m.dryRun, "dry-run", false, "say which jobs these are, and do nothing")
	m.out.flags(cmd, formTable, formJSON)
	return remote(cmd)
}

// bulk is what the flags ask for.
func (m *many) bulk(args []string, now time.Time) (api.Bulk, error) {
	b := api.Bulk{Act: m.act, DryRun: m.dryRun}
	var err error
	if b.JobFilter, err = m.which.filter(now); err != nil {
		return b, err
	}
	narrowed := m.which.narrowed()
	switch {
	case len(args) == 0 && !narrowed:
		return b, usagef("name jobs, or say which: --status, --ticker, --text, --group, --label, --since or --until")
	case len(args) > 0 && narrowed:
		return b, usagef("name jobs, or say which by --status, --ticker, --text, --group, --label, --since or --until, not both")
	}
	return b, nil
}

// tally collects what becomes of jobs over many calls.
type tally struct {
	order []string
	jobs  map[string]api.BulkJob
	total *int
}

// add takes an answer in. What was done stays so where the same call is sent again.
func (t *tally) add(r api.BulkResult) {
	if t.total == nil {
		t.total = r.Total
	}
	for _, one := range r.Jobs {
		before, known := t.jobs[one.JobID]
		if !known {
			t.order = append(t.order, one.JobID)
		}
		if before.Outcome == api.Done && one.Outcome != api.Done {
			continue
		}
		t.jobs[one.JobID] = one
	}
}

func (t *tally) counts() map[api.Outcome]int {
	n := map[api.Outcome]int{}
	for _, one := range t.jobs {
		n[one.Outcome]++
	}
	return n
}

// settled is how many jobs nothing is left to do for.
func (t *tally) settled() int { return len(t.jobs) - t.counts()[api.Postponed] }

// maxWait is the longest that a server may have us wait.
const maxWait = time.Hour

// run sends the act, call by call, until it is done to all.
func (m *many) run(cmd *cobra.Command, c *api.Client, b api.Bulk, ids []string) error {
	ctx, errs := cmd.Context(), cmd.ErrOrStderr()
	t := &tally{jobs: map[string]api.BulkJob{}}
	show := progressOf(errs)
	if len(ids) > 0 {
		n := len(ids)
		t.total = &n
	}
	err := m.sendAll(ctx, c, b, ids, t, func(wait time.Duration) {
		if wait == 0 {
			show(t, "")
			return
		}
		show(t, fmt.Sprintf("the server takes no more now; going on in %s (Ctrl-C stops)", wait.Round(time.Second)))
	})
	show(t, "end")
	if err != nil && len(t.jobs) > 0 {
		fmt.Fprintf(errs, "Stopped: %s. Give the same command again to go on; nothing is done twice.\n", m.summary(t))
	}
	if len(t.jobs) == 0 && err != nil {
		return err
	}
	if printed := m.print(cmd.OutOrStdout(), t); printed != nil {
		return printed
	}
	n := t.counts()
	if bad := n[api.Refused] + n[api.Missing]; err == nil && len(ids) > 0 && bad > 0 {
		return fmt.Errorf("%d of %d jobs could not be changed in their state", bad, len(t.jobs))
	}
	return err
}

// sendAll sends ids in parts, or goes through the pages of what b finds.
func (m *many) sendAll(ctx context.Context, c *api.Client, b api.Bulk, ids []string, t *tally, tell func(wait time.Duration)) error {
	if len(ids) > 0 {
		for part := range slices.Chunk(ids, api.MaxBulk) {
			b.IDs = part
			if _, err := m.send(ctx, c, b, t, tell); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		next, err := m.send(ctx, c, b, t, tell)
		if err != nil || next == "" {
			return err
		}
		b.Cursor = next
	}
}

// send sends one call until nothing of it is postponed, and gives the next page.
func (m *many) send(ctx context.Context, c *api.Client, b api.Bulk, t *tally, tell func(wait time.Duration)) (next string, err error) {
	for {
		r, err := c.Many(ctx, b)
		wait, _, err := waitFor(r.RetryAfter, err)
		t.add(r) // of an answer that is partly wrong too
		if err != nil {
			return "", err
		}
		tell(wait)
		if wait == 0 {
			return r.NextCursor, nil
		}
		if err := sleep(ctx, wait); err != nil {
			return "", err
		}
	}
}

// waitFor is how long to wait before a call is sent again, at most maxWait, and why: the
// answer postponed something for so many seconds, or the server refused it for now. An
// error for which waiting is of no use is left.
func waitFor(seconds int, err error) (wait time.Duration, why string, left error) {
	refused, ok := errors.AsType[*api.Error](err)
	switch {
	case ok && refused.Temporary() && refused.RetryAfter > 0 && refused.Status == http.StatusTooManyRequests:
		return min(refused.RetryAfter, maxWait), "too many requests", nil
	case ok && refused.Temporary() && refused.RetryAfter > 0:
		return min(refused.RetryAfter, maxWait), "server unavailable", nil
	}
	return time.Duration(min(max(seconds, 0), int(maxWait/time.Second))) * time.Second, "store unavailable", err
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// progressOf draws a bar on a terminal; for a log it says what it waits for.
func progressOf(w io.Writer) func(t *tally, note string) {
	_, terminal := terminalWidth(w)
	if !terminal {
		return func(_ *tally, note string) {
			if note != "" && note != "end" {
				fmt.Fprintln(w, note)
			}
		}
	}
	var b *bar
	return func(t *tally, note string) {
		switch {
		case note == "end":
			if b != nil {
				b.clear()
			}
		case note != "":
			(&reach{w: w}).say(note)
		case t.total == nil || *t.total <= api.MaxBulk: // one call, or nobody knows how many
		default:
			if b == nil {
				b = newBar(w)
			}
			b.draw("", t.settled(), *t.total, fmt.Sprintf("%d of %d", t.settled(), *t.total))
		}
	}
}

// outcomeWords say what became of a job.
var outcomeWords = map[api.Act]map[api.Outcome]string{
	api.ActRetry: {
		api.Matches: "would be retried", api.Done: "retried", api.Repeated: "retried before",
		api.Refused: "not retried", api.Missing: "no such job", api.Postponed: "not yet retried",
	},
	api.ActCancel: {
		api.Matches: "would be cancelled", api.Done: "cancelled", api.Repeated: "cancelled before",
		api.Refused: "not cancelled", api.Missing: "no such job", api.Postponed: "not yet cancelled",
	},
}

// summary says how many jobs had which outcome.
func (m *many) summary(t *tally) string {
	n := t.counts()
	var parts []string
	for _, o := range []api.Outcome{api.Matches, api.Done, api.Repeated, api.Refused, api.Missing, api.Postponed} {
		if n[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[o], outcomeWords[m.act][o]))
		}
	}
	if len(parts) == 0 {
		return "no job matches"
	}
	return strings.Join(parts, ", ")
}

func (m *many) print(w io.Writer, t *tally) error {
	all := make([]api.BulkJob, 0, len(t.order))
	for _, id := range t.order {
		all = append(all, t.jobs[id])
	}
	if m.out.isJSON() {
		return printJSON(w, struct {
			Act    api.Act             `json:"act"`
			DryRun bool                `json:"dry_run"`
			Jobs   []api.BulkJob       `json:"jobs"`
			Counts map[api.Outcome]int `json:"counts"`
		}{m.act, m.dryRun, all, t.counts()})
	}
	if len(all) > 0 {
		g := newGrid(w, "job", "ticker", "outcome", "new job")
		if m.act != api.ActRetry || m.dryRun {
			g = newGrid(w, "job", "ticker", "outcome")
		}
		g.wraps, g.spare = "outcome", []string{"ticker"}
		for _, one := range all {
			text := outcomeWords[m.act][one.Outcome]
			if one.Reason != "" {
				text += ": " + one.Reason
			}
			row := []any{one.JobID, one.Ticker, text, one.RetriedBy}
			g.add(row[:len(g.header)]...)
		}
		g.print()
	}
	_, err := fmt.Fprintf(w, "%s%s\n", map[bool]string{true: "Dry run: "}[m.dryRun], m.summary(t))
	return err
}
