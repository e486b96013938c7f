package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/job"
)

// update is one message of a job's stream.
type update struct {
	Status   job.State `json:"status"`
	Progress int       `json:"progress"`
	Place    int       `json:"place"`
}

// watchJob shows a job's progress on the error output until it ends, then its
// results on the output. A failed job is an error.
func watchJob(cmd *cobra.Command, c *client, id string, asJSON bool) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	j, err := follow(ctx, c, id, cmd.ErrOrStderr())
	if err != nil {
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
		return fmt.Errorf("job %s was cancelled\n%s", j.JobID, afterFailure(j.Job))
	}
	if j.Status == job.Failed {
		return fmt.Errorf("job %s failed (%s)\n%s", j.JobID, j.ErrorCode, afterFailure(j.Job))
	}
	return nil
}

// afterFailure says what to do about a failed job.
func afterFailure(j job.Job) string {
	switch j.ErrorCode {
	case job.Rejected:
		return "The trading API refused the sweep as it stands; change it and submit again"
	case job.Undeliverable:
		return "See 'sweepline dead-letters' for what could not be delivered, and why"
	default:
		return "Run it again with 'sweepline retry " + j.JobID + "'"
	}
}

// follow shows a job's progress from its event stream, which reconnects by
// itself, and gives the finished job.
func follow(ctx context.Context, c *client, id string, w io.Writer) (known, error) {
	var show func(update)
	_, terminal := terminalWidth(w)
	r := &reach{w: w, base: c.base}
	err := stream(ctx, c, id, r, func(u update) bool {
		switch {
		case show == nil && terminal:
			show = newBar(w)
		case show == nil:
			show = lines(w)
		}
		show(u)
		return !u.Status.Terminal()
	})
	if show != nil && terminal {
		fmt.Fprintln(w)
	}
	if err != nil {
		return known{}, err
	}
	// The stream may be a moment ahead of the stored job.
	return backoff.Retry(ctx, func() (known, error) {
		j, err := c.job(ctx, id)
		if _, away := errors.AsType[*unreachable](err); away {
			r.away(true)
		} else {
			r.back(true)
		}
		if err == nil && !j.Status.Terminal() {
			err = fmt.Errorf("job %s has ended, but its results are not stored yet\nLook again in a moment with 'sweepline job %s'", id, id)
		}
		return j, err
	}, backoff.WithMaxElapsedTime(time.Minute))
}

// lines says in lines what a bar would show: for logs, where nothing can be
// drawn over.
func lines(w io.Writer) func(update) {
	last := ""
	return func(u update) {
		if text := strings.TrimSpace(describe(u)); text != last {
			last = text
			fmt.Fprintln(w, text)
		}
	}
}

func describe(u update) string {
	if u.Status == job.Queued && u.Place > 0 {
		return fmt.Sprintf("%-9s (number %d in the queue)", strings.ToLower(string(u.Status)), u.Place)
	}
	return fmt.Sprintf("%-9s", strings.ToLower(string(u.Status)))
}

// barAround is what stands beside the bar: the state with its place in line, the
// figures, the time.
const barAround = 54

// newBar draws a bar that fits the terminal.
func newBar(w io.Writer) func(update) {
	width, _ := terminalWidth(w)
	bar := progressbar.NewOptions(100,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(max(8, min(40, width-barAround))),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetDescription("queued   "),
		progressbar.OptionThrottle(50*time.Millisecond),
		progressbar.OptionSetRenderBlankState(true),
	)
	return func(u update) {
		bar.Describe(describe(u))
		_ = bar.Set(u.Progress)
		if u.Status.Terminal() {
			_ = bar.Exit() // leaves the bar where it is: a failed job is not full
		}
	}
}

// stream reads a job's updates until more says no.
func stream(ctx context.Context, c *client, id string, r *reach, more func(update) bool) error {
	var u update // a message says what has changed; the rest stands
	return c.events(ctx, "/api/jobs/"+url.PathEscape(id)+"/stream", r, func(data string) bool {
		return json.Unmarshal([]byte(data), &u) != nil || !u.Status.Valid() || more(u)
	})
}

// validate keeps what the server says against a stream.
func validate(r *http.Response) error {
	if r.StatusCode == http.StatusOK {
		return nil
	}
	return answerOf(r)
}
