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
	"github.com/tmaxmax/go-sse"

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
	if j.Status == job.Failed {
		return fmt.Errorf("job %s failed (%s)", j.JobID, j.ErrorCode)
	}
	return nil
}

// follow draws a progress bar from the job's event stream, which reconnects by
// itself, and gives the finished job.
func follow(ctx context.Context, c *client, id string, w io.Writer) (job.Job, error) {
	bar := newBar(w)
	if err := stream(ctx, c, id, func(u update) bool {
		bar.Describe(describe(u))
		_ = bar.Set(u.Progress)
		return !u.Status.Terminal()
	}); err != nil {
		_ = bar.Exit()
		fmt.Fprintln(w)
		return job.Job{}, err
	}
	_ = bar.Finish()
	fmt.Fprintln(w)
	// The stream may be a moment ahead of the stored job.
	return backoff.Retry(ctx, func() (job.Job, error) {
		j, err := c.job(ctx, id)
		if err == nil && !j.Status.Terminal() {
			err = fmt.Errorf("job %s has ended, but its results are not stored yet", id)
		}
		return j, err
	}, backoff.WithMaxElapsedTime(time.Minute))
}

func describe(u update) string {
	if u.Status == job.Queued && u.Place > 0 {
		return fmt.Sprintf("%-9s (place %d in line)", strings.ToLower(string(u.Status)), u.Place)
	}
	return fmt.Sprintf("%-9s", strings.ToLower(string(u.Status)))
}

func newBar(w io.Writer) *progressbar.ProgressBar {
	return progressbar.NewOptions(100,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(40),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetDescription("queued   "),
		progressbar.OptionThrottle(50*time.Millisecond),
		progressbar.OptionSetRenderBlankState(true),
	)
}

// stream reads a job's Server-Sent Events until more says no.
func stream(ctx context.Context, c *client, id string, more func(update) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/api/jobs/"+url.PathEscape(id)+"/stream", nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	sc := sse.Client{HTTPClient: c.http, ResponseValidator: validate, Backoff: sse.Backoff{MaxInterval: 5 * time.Second, MaxElapsedTime: 2 * time.Minute}}
	conn := sc.NewConnection(req)
	ended := false
	var u update // a message says what has changed; the rest stands
	conn.SubscribeToAll(func(e sse.Event) {
		if json.Unmarshal([]byte(e.Data), &u) == nil && u.Status.Valid() && !more(u) {
			ended = true
			cancel()
		}
	})
	err = conn.Connect()
	switch {
	case ended:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	var answer *apiError
	if errors.As(err, &answer) {
		return answer
	}
	return fmt.Errorf("follow job %s: %w", id, err)
}

// validate keeps what the server says against a stream.
func validate(r *http.Response) error {
	if r.StatusCode == http.StatusOK {
		return nil
	}
	answer := &apiError{}
	_ = json.NewDecoder(io.LimitReader(r.Body, answerSize)).Decode(answer)
	answer.Status = r.StatusCode
	return answer
}
