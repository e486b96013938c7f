package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// whichJobs are the flags that narrow jobs: all filters of the API.
type whichJobs struct {
	status, ticker, text, group, since, until string
	labels                                    []string
}

// flags adds them; states are those that a shell offers.
func (w *whichJobs) flags(cmd *cobra.Command, states string) {
	states = strings.ToLower(states)
	f := cmd.Flags()
	f.StringVarP(&w.status, "status", "s", "", "in these states, comma between: "+states)
	f.StringVarP(&w.ticker, "ticker", "t", "", "of this ticker")
	f.StringVarP(&w.text, "text", "q", "", "with this text in id, ticker, strategy or error")
	f.StringVarP(&w.group, "group", "g", "", "of this group")
	f.StringSliceVarP(&w.labels, "label", "l", nil, "with this label; with all of several, comma between")
	f.StringVar(&w.since, "since", "", "created since 2h ago, or since 2026-01-31T12:00:00Z")
	f.StringVar(&w.until, "until", "", "created before 2h ago, or before 2026-01-31T12:00:00Z")
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(strings.Split(states, ","), cobra.ShellCompDirectiveNoFileComp))
}

// narrowed reports whether any is given.
func (w *whichJobs) narrowed() bool {
	return w.status+w.ticker+w.text+w.group+w.since+w.until != "" || len(w.labels) > 0
}

// filter is what the flags ask for. How long ago becomes a time, in the flags too, so that
// a command which is given again means the same jobs.
func (w *whichJobs) filter(now time.Time) (api.JobFilter, error) {
	f := api.JobFilter{Status: statesOf(w.status), Ticker: w.ticker, Text: w.text, Group: w.group, Labels: w.labels}
	for _, bound := range []struct {
		name string
		text *string
		into *time.Time
	}{{"since", &w.since, &f.Since}, {"until", &w.until, &f.Until}} {
		if *bound.text == "" {
			continue
		}
		at, err := parseTime(*bound.text, now)
		if err != nil {
			return f, usagef("--%s must be how long ago, as 2h, or a time, as 2026-01-31T12:00:00Z", bound.name)
		}
		*bound.into, *bound.text = at, at.UTC().Format(time.RFC3339Nano)
	}
	return f, nil
}

// statesOf reads the states of a flag, in any case, with commas between.
func statesOf(text string) (states []job.State) {
	for _, s := range strings.FieldsFunc(strings.ToUpper(text), func(r rune) bool { return r == ',' }) {
		states = append(states, job.State(s))
	}
	return states
}

// parseTime reads a time, or how long ago it was.
func parseTime(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	return rfc3339.Parse(text)
}

// completeJobs offers the newest jobs in these states ("" for all) to a shell; many where
// the command takes more than one.
func completeJobs(states string, many bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := newClient(cmd)
		if err != nil || len(args) > 0 && !many {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		p, err := c.Jobs(cmd.Context(), api.JobFilter{Limit: 50, Status: statesOf(states)})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var ids []string
		for _, j := range p.Jobs {
			ids = append(ids, cobra.CompletionWithDesc(printable(j.JobID), printable(j.Ticker)+" "+string(j.Shown())))
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
