package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// change is what jobs --follow prints of a job.
type change struct {
	Time      time.Time     `json:"time"`
	JobID     string        `json:"job_id"`
	Ticker    string        `json:"ticker"`
	Status    job.State     `json:"status"`
	ErrorCode job.ErrorCode `json:"error_code,omitempty"`
	Progress  int           `json:"progress"`
	Place     int           `json:"place,omitempty"`
}

// MarshalJSON writes its time as the API does, and the state that people are told as well.
func (c change) MarshalJSON() ([]byte, error) {
	type plain change // without this method
	return json.Marshal(struct {
		plain

		Time          rfc3339.Milli `json:"time"`
		DisplayStatus job.State     `json:"display_status"`
	}{plain(c), rfc3339.Milli(c.Time), c.shown()})
}

// shown is the state that people are told.
func (c change) shown() job.State { return job.Job{Status: c.Status, ErrorCode: c.ErrorCode}.Shown() }

// progressStep is how far a running job gets between two of its lines.
const progressStep = 10

// follower knows what was printed of each open job.
type follower struct {
	c      *api.Client
	wanted func(job.Job) bool
	print  func(change) error
	now    func() time.Time
	open   map[string]change
	// skipped are open jobs that nobody wants to see.
	skipped map[string]bool
	latest  string
	begun   bool
}

// followJobs prints every change of the tenant's jobs from the stream of the
// dashboard, until ctx ends. The stream comes back by itself.
//
// errs is told when the server does not answer.
func followJobs(ctx context.Context, c *api.Client, errs io.Writer, wanted func(job.Job) bool, print func(change) error) error {
	f := &follower{c: c, wanted: wanted, print: print, now: time.Now, open: map[string]change{}, skipped: map[string]bool{}}
	var failed error
	r := &reach{w: errs, base: redacted(c.Base())}
	err := r.during(ctx, c, func(ctx context.Context, on api.Connection) error {
		return c.FollowJobs(ctx, on, func(o api.Overview) bool {
			failed = f.take(ctx, o)
			if _, away := errors.AsType[*api.Unreachable](failed); away {
				failed = nil // the stream will break as well, and begin with an overview
			}
			return failed == nil
		})
	})
	if failed != nil {
		return failed
	}
	return err
}

// take prints what is new in an overview: jobs that came, jobs that moved, and
// jobs that are no longer among the open ones, since they have ended.
func (f *follower) take(ctx context.Context, o api.Overview) error {
	there := map[string]bool{}
	for i := len(o.Open) - 1; i >= 0; i-- { // oldest first
		u := o.Open[i]
		there[u.JobID] = true
		before, known := f.open[u.JobID]
		if f.skipped[u.JobID] {
			continue
		}
		if !known {
			j, err := f.c.Job(ctx, u.JobID)
			if err != nil {
				return err
			}
			before = change{JobID: u.JobID, Ticker: j.Ticker}
			if !f.wanted(j.Job) {
				f.skipped[u.JobID] = true
				continue
			}
		}
		next := change{Time: f.now(), JobID: u.JobID, Ticker: before.Ticker, Status: u.Status, Progress: u.Progress, Place: u.Place}
		if known && next.Status == before.Status && next.Place == before.Place && next.Progress < before.Progress+progressStep {
			continue
		}
		f.open[u.JobID] = next
		if err := f.print(next); err != nil {
			return err
		}
	}
	if err := f.missed(ctx, o.Latest, there); err != nil {
		return err
	}
	maps.DeleteFunc(f.skipped, func(id string, _ bool) bool { return !there[id] })
	for id := range f.open {
		if there[id] {
			continue
		}
		if err := f.ended(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// missed notes the jobs that came and ended between two overviews: they are
// newer than the newest of the last one.
func (f *follower) missed(ctx context.Context, latest string, there map[string]bool) error {
	before := f.latest
	if !f.begun || latest == before {
		f.latest, f.begun = latest, true
		return nil
	}
	p, err := f.c.Jobs(ctx, api.JobFilter{Limit: 100})
	if err != nil {
		return err
	}
	for _, j := range p.Jobs {
		if j.JobID == before {
			break
		}
		if _, known := f.open[j.JobID]; !known && !there[j.JobID] {
			f.open[j.JobID] = change{JobID: j.JobID}
		}
	}
	f.latest = latest
	return nil
}

// ended prints the last line of a job. The overview holds the newest open jobs
// only, so one may be missing there and still be open: it is asked for again
// with the next overview.
func (f *follower) ended(ctx context.Context, id string) error {
	j, err := f.c.Job(ctx, id)
	if err != nil {
		return err
	}
	if !j.Status.Terminal() {
		return nil
	}
	delete(f.open, id)
	if !f.wanted(j.Job) {
		return nil
	}
	return f.print(change{Time: f.now(), JobID: id, Ticker: j.Ticker, Status: j.Status, ErrorCode: j.ErrorCode, Progress: j.Progress})
}

// printChange writes a line for people, or one of JSON for programs.
func printChange(w io.Writer, asJSON bool) func(change) error {
	if asJSON {
		enc := json.NewEncoder(plainJSON{w})
		return func(c change) error { return enc.Encode(c) }
	}
	return func(c change) error {
		more := ""
		switch {
		case c.ErrorCode == job.Cancelled:
		case c.ErrorCode != "":
			more = printable(string(c.ErrorCode))
		case c.Place > 0:
			more = fmt.Sprintf("number %d in the queue", c.Place)
		case c.Status == job.Running:
			more = fmt.Sprintf("%d %%", c.Progress)
		}
		_, err := fmt.Fprintf(w, "%s  %s  %-10s %s %s\n", c.Time.Local().Format(time.TimeOnly), printable(c.JobID), printable(c.Ticker),
			paint(w, c.shown(), fmt.Sprintf("%-9s", c.shown())), more)
		return err
	}
}

func runFollow(cmd *cobra.Command, c *api.Client, status job.State, ticker string, asJSON bool) error {
	wanted := func(j job.Job) bool {
		return (status == "" || j.Shown() == status || !j.Status.Terminal()) && (ticker == "" || strings.EqualFold(j.Ticker, ticker))
	}
	show := printChange(cmd.OutOrStdout(), asJSON)
	return followJobs(cmd.Context(), c, cmd.ErrOrStderr(), wanted, func(c change) error {
		if status != "" && c.shown() != status {
			return nil
		}
		return show(c)
	})
}
