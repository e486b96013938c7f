package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/zixly/sweepline/shared/job"
)

// maxBenchRate keeps a typing mistake from becoming an attack.
const maxBenchRate = 5000

func newBenchWebhook() *cobra.Command {
	var (
		rate     int
		duration time.Duration
		asJSON   bool
	)
	cmd := &cobra.Command{
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
			c, err := newClient()
			if err != nil {
				return err
			}
			body, err := json.Marshal(job.Sweep{
				Ticker: "DAX", FastRange: [2]int{10, 10}, SlowRange: [2]int{50, 50}, Step: 1, MinTrades: 10, StrategyType: job.SMA,
			})
			if err != nil {
				return fmt.Errorf("encode sweep: %w", err)
			}
			header := http.Header{"Content-Type": {"application/json"}}
			if c.key != "" {
				header.Set("Authorization", "Bearer "+c.key)
			}
			target := vegeta.Target{Method: http.MethodPost, URL: c.base + "/webhook/trading-sweep", Body: body, Header: header}
			attacker := vegeta.NewAttacker(vegeta.Timeout(callLimit), vegeta.MaxBody(0))
			var m vegeta.Metrics
			results := attacker.Attack(vegeta.NewStaticTargeter(target), vegeta.Rate{Freq: rate, Per: time.Second}, duration, "webhook")
			for open := true; open; {
				select {
				case r, ok := <-results:
					if open = ok; ok {
						m.Add(r)
					}
				case <-cmd.Context().Done():
					attacker.Stop()
					return cmd.Context().Err()
				}
			}
			m.Close()
			if asJSON {
				return printJSON(cmd.OutOrStdout(), &m)
			}
			return printBench(cmd.OutOrStdout(), &m)
		},
	}
	f := cmd.Flags()
	f.IntVar(&rate, "rate", 200, "requests a second")
	f.DurationVar(&duration, "duration", 10*time.Second, "for how long")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printBench is an error where not every request was answered with 202.
func printBench(w io.Writer, m *vegeta.Metrics) error {
	l := m.Latencies
	fmt.Fprintf(w, "%d requests at %.0f/s: p50 %s, p95 %s, p99 %s, longest %s\n",
		m.Requests, m.Rate, round(l.P50), round(l.P95), round(l.P99), round(l.Max))
	taken := m.StatusCodes[strconv.Itoa(http.StatusAccepted)]
	if uint64(taken) == m.Requests {
		return nil
	}
	return fmt.Errorf("%d of %d were answered with 202; answers by status: %v", taken, m.Requests, m.StatusCodes)
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
