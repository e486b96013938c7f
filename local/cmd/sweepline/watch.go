package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

func newWatch() *cobra.Command {
	var o output
	cmd := remote(&cobra.Command{
		Use:   "watch ID",
		Short: "Follow a job to its end",
		Long: `Follows a job to its end, and prints its results. Exit code 3 where it ended FAILED or
CANCELLED. Ctrl-C ends the watching, with 130; the job goes on.`,
		Args: cobra.ExactArgs(1),

		ValidArgsFunction: completeJobs("QUEUED,RUNNING", false),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			id, err := jobID(cmd, c, args[0])
			if err != nil {
				return err
			}
			return watchJob(cmd, c, id, o.isJSON())
		},
	})
	o.flags(cmd, formTable, formJSON)
	return cmd
}

// watchJob shows a job's progress on the error output until it ends, then its
// results on the output. A failed job is an error.
func watchJob(cmd *cobra.Command, c *api.Client, id string, asJSON bool) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	j, err := follow(ctx, c, id, cmd.ErrOrStderr())
	if err != nil {
		sayGoesOn(cmd, "The job goes on. Follow it with", "watch "+id)
		return err
	}
	if asJSON {
		if err := printJSON(out, j); err != nil {
			return err
		}
	} else {
		printJob(out, j)
	}
	if j.Shown() == job.ShownCancelled {
		return jobFailedError{fmt.Errorf("job %s was cancelled\n%s", id, afterFailure(cmd, id, j.ErrorCode))}
	}
	if j.Status == job.Failed {
		return jobFailedError{fmt.Errorf("job %s failed (%s)\n%s", id, j.ErrorCode, afterFailure(cmd, id, j.ErrorCode))}
	}
	return nil
}

// sayGoesOn says, where somebody has interrupted the watching, that the work was not, and
// how to look at it.
func sayGoesOn(cmd *cobra.Command, what, words string) {
	if cmd.Context().Err() != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", what, again(cmd, words))
	}
}

// afterFailure says what to do about a failed job.
func afterFailure(cmd *cobra.Command, id string, code job.ErrorCode) string {
	switch code {
	case job.Rejected:
		return "The trading API refused the sweep as it stands; change it and submit again"
	case job.Undeliverable:
		return "What could not be delivered, and why: " + again(cmd, "dead-letters")
	default:
		return "Run it again with: " + again(cmd, "retry "+id)
	}
}

// notStoredError says that a job has ended, but that its results are not there yet.
type notStoredError struct{ id string }

func (n notStoredError) Error() string {
	return fmt.Sprintf("job %s has ended, but its results are not stored yet", n.id)
}

// follow shows a job's progress from its event stream, which reconnects by
// itself, and gives the finished job.
func follow(ctx context.Context, c *api.Client, id string, w io.Writer) (api.Job, error) {
	var show func(api.Update)
	_, terminal := terminalWidth(w)
	r := &reach{w: w, base: redacted(c.Base())}
	err := r.during(ctx, c, func(ctx context.Context, on api.Connection) error {
		return c.FollowJob(ctx, id, on, func(u api.Update) bool {
			switch {
			case show == nil && terminal:
				show = drawn(w)
			case show == nil:
				show = lines(w)
			}
			show(u)
			return !u.Status.Terminal()
		})
	})
	if show != nil && terminal {
		fmt.Fprintln(w)
	}
	if err != nil {
		return api.Job{}, err
	}
	// The stream may be a moment ahead of the stored job.
	return backoff.Retry(ctx, func() (api.Job, error) {
		j, err := c.Job(ctx, id)
		if _, away := errors.AsType[*api.Unreachable](err); away {
			r.away(true)
		} else {
			r.back(true)
		}
		if err == nil && !j.Status.Terminal() {
			err = notStoredError{id}
		}
		return j, err
	}, backoff.WithMaxElapsedTime(time.Minute))
}

// lines says in lines what a bar would show: for logs, where nothing can be
// drawn over.
func lines(w io.Writer) func(api.Update) {
	last := ""
	return func(u api.Update) {
		if text := strings.TrimSpace(describe(u)); text != last {
			last = text
			fmt.Fprintln(w, text)
		}
	}
}

func describe(u api.Update) string {
	if u.Status == job.Queued && u.Place > 0 {
		return fmt.Sprintf("%-9s (number %d in the queue)", strings.ToLower(string(u.Shown())), u.Place)
	}
	return fmt.Sprintf("%-9s", strings.ToLower(string(u.Shown())))
}

// drawn draws the job's progress over itself. The last stays as it is: a failed job's bar
// is not full.
func drawn(w io.Writer) func(api.Update) {
	b := newBar(w)
	return func(u api.Update) {
		b.draw(describe(u), u.Progress, 100, fmt.Sprintf("%d %%", u.Progress))
	}
}
