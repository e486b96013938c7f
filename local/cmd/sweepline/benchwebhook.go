package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/local/bench"
)

// maxBenchRate keeps a typing mistake from becoming an attack.
const maxBenchRate = 5000

func newBenchWebhook() *cobra.Command {
	var (
		rate     int
		duration time.Duration
		o        output
	)
	cmd := remote(&cobra.Command{
		Use:   "webhook",
		Short: "Measure how fast a running sweepline answers webhooks",
		Long: `Sends sweeps at a fixed rate, whatever the answers take, and prints how long
they took. These are real jobs: run it against a sweepline of your own, such as
'sweepline up --servers'.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rate < 1 || rate > maxBenchRate {
				return usagef("--rate must be 1 to %d", maxBenchRate)
			}
			if duration < time.Second || duration > 10*time.Minute {
				return usagef("--duration must be 1s to 10m")
			}
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			r, err := bench.Webhook(cmd.Context(), c.Base(), c.Key(), float64(rate), duration)
			if err != nil {
				return err
			}
			if o.isJSON() {
				return printJSON(cmd.OutOrStdout(), r)
			}
			printWebhooks(cmd.OutOrStdout(), r)
			return nil
		},
	})
	f := cmd.Flags()
	f.IntVar(&rate, "rate", 200, "requests a second")
	f.DurationVar(&duration, "duration", 10*time.Second, "for how long")
	o.flags(cmd, formTable, formJSON)
	return cmd
}

func printWebhooks(w io.Writer, r *bench.WebhookResult) {
	fmt.Fprintf(w, "%d requests at %.0f/s: p50 %s, p95 %s, p99 %s, longest %s\n",
		r.Requests, r.Rate, round(r.P50), round(r.P95), round(r.P99), round(r.Longest))
	if r.Refused > 0 {
		fmt.Fprintf(w, "%d were refused for now (429 or 503) and sent again\n", r.Refused)
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
