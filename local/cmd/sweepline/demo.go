package main

import (
	"context"
	"fmt"
	"io"

	"github.com/zixly/sweepline/local/runner"
	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
)

// demoSweep runs on the DAX's real closes of 1991 to 1998. Its averages cross
// some forty times, so the default of fifty trades would push all scores down.
var demoSweep = job.Sweep{
	Ticker: "DAX", FastRange: [2]int{5, 50}, SlowRange: [2]int{20, 200}, Step: 5, MinTrades: 10, StrategyType: job.SMA,
}

// runDemo sends one sweep through the public port, as any client would, and
// shows it to its end.
func runDemo(ctx context.Context, l *runner.Local, out, progress io.Writer) error {
	var env clientConfig
	if err := function.Load(&env); err != nil {
		return usageError{err}
	}
	c, err := api.New(l.PublicURL, env.Key)
	if err != nil {
		return err
	}
	a, err := submit(ctx, c, demoSweep)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	fmt.Fprintf(out, "\nDemo: %d parameter sets of %s on real prices, job %s\n", demoSweep.Combinations(), demoSweep.Ticker, a.JobID)
	j, err := follow(ctx, c, a.JobID, progress)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	printJob(out, j)
	return nil
}
