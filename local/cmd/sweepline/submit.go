package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/job"
)

func newSubmit() *cobra.Command {
	var (
		s          job.Sweep
		fast, slow string
		watch      bool
		asJSON     bool
	)
	cmd := &cobra.Command{
		Use:     "submit",
		Short:   "Send a sweep",
		Example: "  sweepline submit --ticker DAX --fast 10:50 --slow 20:200 --step 5 --watch",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if s.FastRange, err = parseRange("--fast", fast); err != nil {
				return err
			}
			if s.SlowRange, err = parseRange("--slow", slow); err != nil {
				return err
			}
			s.StrategyType = strings.ToUpper(s.StrategyType)
			if err := s.Validate(); err != nil {
				return usageError{err}
			}
			c, err := newClient()
			if err != nil {
				return err
			}
			a, err := submit(cmd.Context(), c, s)
			if err != nil {
				return err
			}
			if watch {
				fmt.Fprintf(cmd.ErrOrStderr(), "Job %s: %d combinations of %s\n", a.JobID, s.Combinations(), s.Ticker)
				return watchJob(cmd, c, a.JobID, asJSON)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), a)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", a.JobID)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.Ticker, "ticker", "", "what to trade, as DAX, AAPL or BTC-USD")
	f.StringVar(&fast, "fast", "10:50", "fast periods in days, first:last")
	f.StringVar(&slow, "slow", "20:200", "slow periods in days, first:last")
	f.IntVar(&s.Step, "step", 5, "distance between periods")
	f.IntVar(&s.MinTrades, "min-trades", job.DefaultMinTrades, "what trades less often scores lower")
	f.StringVar(&s.StrategyType, "strategy", job.SMA, "SMA, EMA or MACD")
	f.StringVar(&s.ConfigPath, "config-path", "", "the trading API's configuration: minimum or standard")
	f.BoolVar(&watch, "watch", false, "show progress, then the results")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.RegisterFlagCompletionFunc("strategy", cobra.FixedCompletions([]string{job.SMA, job.EMA, job.MACD}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("config-path", cobra.FixedCompletions([]string{"minimum", "standard"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagRequired("ticker")
	return cmd
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
