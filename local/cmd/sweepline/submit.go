package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

// maxRequest is the largest request that is read from a file, as the webhook takes.
const maxRequest = 64 << 10

// maxKey is the longest idempotency key that the webhook takes.
const maxKey = 255

// submission are the flags of submit.
type submission struct {
	sweep      job.Sweep
	fast, slow string
	tickers    []string
	labels     []string
	notifyURL  string
	file, key  string
	watch      bool
	out        output
}

// ofSweep are the flags that say what a file says.
var ofSweep = []string{"ticker", "tickers", "fast", "slow", "step", "min-trades", "strategy", "config-path", "label", "notify-url"}

func newSubmit() *cobra.Command {
	var s submission
	cmd := remote(&cobra.Command{
		Use:   "submit",
		Short: "Send a sweep, or one of many tickers",
		Long: `Sends a sweep. With --tickers it is run for each of them, as a group of jobs: all of
them are taken, or none. With -f the request is the JSON of a file, or of the standard
input (-f -), as the webhook takes it: {"tickers":["DAX","SMI"],"fast_range":[5,50],...}.

A group prints the ids of its jobs, one a line.

With --watch the exit code is 3 where a job ended FAILED or CANCELLED. Ctrl-C ends the
watching, with 130; the jobs go on.`,
		Example: "  sweepline submit --ticker DAX --fast 10:50 --slow 20:200 --step 5 --watch\n" +
			"  sweepline submit --tickers DAX,SMI,^GSPC --label weekly --idempotency-key monday-1\n" +
			"  sweepline submit -f sweep.json\n  jq '.step=1' sweep.json | sweepline submit -f -",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := s.request(cmd)
			if err != nil {
				return err
			}
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			a, err := send(cmd.Context(), c, r, s.key)
			if err != nil {
				return err
			}
			if a.GroupID != "" {
				return s.toldGroup(cmd, c, a)
			}
			if s.watch {
				fmt.Fprintf(cmd.ErrOrStderr(), "Job %s: %d combinations of %s\n", a.JobID, r.Combinations(), r.Ticker)
				return watchJob(cmd, c, a.JobID, s.out.isJSON())
			}
			if s.out.isJSON() {
				return printJSON(cmd.OutOrStdout(), a)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", a.JobID)
			return err
		},
	})
	f := cmd.Flags()
	f.StringVarP(&s.sweep.Ticker, "ticker", "t", "", "what to trade, as DAX, AAPL or BTC-USD")
	f.StringSliceVar(&s.tickers, "tickers", nil, "many of them, comma between: a job each")
	f.StringVar(&s.fast, "fast", "10:50", "fast periods in days, first:last")
	f.StringVar(&s.slow, "slow", "20:200", "slow periods in days, first:last")
	f.IntVar(&s.sweep.Step, "step", 5, "distance between periods")
	f.IntVar(&s.sweep.MinTrades, "min-trades", job.DefaultMinTrades, "what trades less often scores lower")
	f.StringVar(&s.sweep.StrategyType, "strategy", job.SMA, "SMA, EMA or MACD")
	f.StringVar(&s.sweep.ConfigPath, "config-path", "", "the trading API's configuration: minimum or standard")
	f.StringSliceVarP(&s.labels, "label", "l", nil, "a word of yours to find the job by; several with a comma between")
	f.StringVar(&s.notifyURL, "notify-url", "", "an address that is called when the job has ended, where the server allows its host")
	f.StringVarP(&s.file, "file", "f", "", "a file with the request as JSON, or - for the standard input; in place of the flags above")
	f.StringVar(&s.key, "idempotency-key", "", "sent again with the same key within 24 hours, it is the same job")
	f.BoolVarP(&s.watch, "watch", "w", false, "show progress, then the results")
	s.out.flags(cmd, formTable, formJSON)
	_ = cmd.RegisterFlagCompletionFunc("strategy", cobra.FixedCompletions([]string{job.SMA, job.EMA, job.MACD}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("config-path", cobra.FixedCompletions([]string{"minimum", "standard"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagsOneRequired("ticker", "tickers", "file")
	for _, name := range ofSweep {
		if name != "ticker" {
			cmd.MarkFlagsMutuallyExclusive("file", name)
		}
	}
	cmd.MarkFlagsMutuallyExclusive("ticker", "tickers", "file")
	return cmd
}

// request is what the flags or the file ask for, by the rules of the webhook.
func (s *submission) request(cmd *cobra.Command) (api.Request, error) {
	if len(s.key) > maxKey || strings.ContainsFunc(s.key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return api.Request{}, usagef("--idempotency-key must be 1 to %d printable ASCII characters", maxKey)
	}
	var r api.Request
	var text []byte
	var err error
	if s.file != "" {
		text, err = s.read(cmd.InOrStdin())
	} else if r, err = s.flags(); err == nil {
		text, err = r.MarshalJSON()
	}
	if err != nil {
		return r, err
	}
	asked, err := job.ParseRequest(text)
	if err != nil {
		return r, usageError{err}
	}
	r = api.Request{Sweep: asked.Sweep, Labels: asked.Labels, Tickers: asked.Tickers, NotifyURL: asked.NotifyURL}
	if r.Tickers != nil {
		r.Ticker = ""
	}
	return r, nil
}

func (s *submission) flags() (r api.Request, err error) {
	r = api.Request{Sweep: s.sweep, Labels: s.labels, Tickers: s.tickers, NotifyURL: s.notifyURL}
	r.StrategyType = strings.ToUpper(s.sweep.StrategyType)
	if r.FastRange, err = parseRange("--fast", s.fast); err != nil {
		return r, err
	}
	r.SlowRange, err = parseRange("--slow", s.slow)
	return r, err
}

func (s *submission) read(stdin io.Reader) ([]byte, error) {
	in := stdin
	if s.file != "-" {
		f, err := os.Open(s.file)
		if err != nil {
			return nil, usageError{err}
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxRequest+1))
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	if len(text) > maxRequest {
		return nil, usagef("a request is at most %d bytes", maxRequest)
	}
	return text, nil
}

// toldGroup prints what was taken and, with --watch, follows it to its end.
func (s *submission) toldGroup(cmd *cobra.Command, c *api.Client, a api.Accepted) error {
	out, errs := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if !s.watch {
		if s.out.isJSON() {
			return printJSON(out, a)
		}
		for _, j := range a.Jobs {
			if _, err := fmt.Fprintf(out, "%s\n", j.JobID); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(errs, "Group %s: %s. See: %s\n", a.GroupID, counted(len(a.Jobs), "job"), again(cmd, "jobs --group "+a.GroupID+" --sort score"))
		return err
	}
	fmt.Fprintf(errs, "Group %s: %s\n", a.GroupID, counted(len(a.Jobs), "job"))
	failed, cancelled := 0, 0
	for n, one := range a.Jobs {
		fmt.Fprintf(errs, "%d of %d: %s\n", n+1, len(a.Jobs), one.Ticker)
		j, err := follow(cmd.Context(), c, one.JobID, errs)
		if err != nil {
			sayGoesOn(cmd, "The jobs go on. Follow them with", "jobs --follow")
			return err
		}
		switch j.Shown() {
		case job.Failed:
			failed++
		case job.ShownCancelled:
			cancelled++
		}
	}
	p, err := c.Jobs(cmd.Context(), api.JobFilter{Group: a.GroupID, Sort: api.BestFirst, Limit: 500})
	if err != nil {
		return err
	}
	if s.out.isJSON() {
		err = printJSON(out, p)
	} else {
		printJobs(out, p.Jobs, false)
	}
	if err == nil && failed+cancelled > 0 {
		err = jobFailedError{errors.New(endedBadly(cmd, a.GroupID, failed, cancelled))}
	}
	return err
}

// endedBadly says how many jobs of a group failed and how many were cancelled, and how to
// run them again: those that were cancelled only where they are asked for.
func endedBadly(cmd *cobra.Command, group string, failed, cancelled int) string {
	said, which := counted(failed, "job")+" of the group failed", ""
	switch {
	case cancelled > 0 && failed > 0:
		said, which = fmt.Sprintf("%s, %d cancelled", said, cancelled), " --status failed,cancelled"
	case cancelled > 0:
		said, which = counted(cancelled, "job")+" of the group cancelled", " --status cancelled"
	}
	return said + "\nRun them again with: " + again(cmd, "retry --group "+group+which)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func parseRange(flag, text string) ([2]int, error) {
	first, last, ok := strings.Cut(text, ":")
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(last)
	if !ok || errA != nil || errB != nil {
		return [2]int{}, usagef("%s must be first:last, as 10:50", flag)
	}
	return [2]int{a, b}, nil
}
