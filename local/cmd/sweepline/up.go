package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/telemetry"
)

func newUp() *cobra.Command {
	var (
		cfg                  runner.Config
		demo                 bool
		logs, role, profiles string
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything in one process",
		Long: `Runs the whole pipeline: broker, every function on a port of its own behind it,
supervisor, dashboard, and the trading API's simulator unless $TRADING_API_URL is
set. Nothing else is needed: Redis and the database are embedded, unless
$REDIS_URL or $DATABASE_URL name real ones, or --servers starts private ones from
the programs on this machine. What is unfinished goes on at the next
start.`,
		Example: "  sweepline up --demo\n  sweepline up --servers --data-dir ./data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := function.Load(&cfg); err != nil {
				return usageError{err}
			}
			if cfg.Role, err = runner.ParseRole(role); err != nil {
				return usageError{err}
			}
			// What is made from here on, by our servers too, is its owner's alone.
			syscall.Umask(0o077)
			out := cmd.OutOrStdout()
			w, file, err := openLog(cfg, logs)
			if err != nil {
				return err
			}
			defer func() { _ = w.Close() }()
			log := telemetry.NewLogger(w, slog.LevelInfo)
			slog.SetDefault(log) // functions log through the default, as in their own processes
			// Everything in one process makes garbage in proportion to a small live heap:
			// collecting less often costs a few MiB and saves a tenth of the CPU. GOGC wins.
			if was := debug.SetGCPercent(400); was != 100 {
				debug.SetGCPercent(was)
			}
			if profiles != "" {
				end, err := profile(profiles)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, end()) }()
			}
			l, err := runner.Start(cmd.Context(), cfg, log)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "sweepline %s: %s.\n%s  %-12s %s\n", version, l.Mode, l.Summary(), "Log", file)
			if l.Resumed > 0 {
				fmt.Fprintf(out, "Resumed %d unfinished jobs of an earlier run.\n", l.Resumed)
			}
			for _, line := range l.Missed {
				fmt.Fprintf(out, "Runs of schedules were missed while nothing ran: %s.\n", line)
			}
			if demo {
				if err := runDemo(cmd.Context(), l, out, cmd.ErrOrStderr()); err != nil {
					return errors.Join(err, l.Close())
				}
			}
			fmt.Fprintf(out, "\nRunning; the dashboard is at %s (Ctrl-C ends)\n", l.PublicURL)
			select {
			case <-cmd.Context().Done():
			case <-l.Failed():
			}
			fmt.Fprintln(out, "Stopping")
			return l.Close()
		},
	}
	f := cmd.Flags()
	f.BoolVar(&demo, "demo", false, "also run one sweep on real prices and print its best results")
	f.BoolVar(&cfg.Servers, "servers", false, "start private Redis and PostgreSQL servers")
	f.StringVar(&role, "role", string(runner.All), "all; receiver: take jobs in and leave them in their queues; worker: all but that")
	f.StringVar(&profiles, "profile", "", "folder for Go profiles of the whole run, CPU and allocations")
	portVar(f, &cfg.Port, "port", 8080, "public port: webhooks, API, dashboard; 0 for any free one")
	portVar(f, &cfg.BrokerPort, "broker-port", 8081, "port of the broker's ingress")
	portVar(f, &cfg.TradingPort, "trading-port", 8000, "port of the trading API's simulator")
	portVar(f, &cfg.AdminPort, "admin-port", 9090, "port of metrics and health")
	f.StringVar(&cfg.DataDir, "data-dir", "", "folder for everything that lasts (default: sweepline in the user's data folder)")
	f.DurationVar(&cfg.SimulatorDelay, "delay", 3*time.Second, "how long the simulator lets a sweep take at least")
	f.StringVar(&cfg.SchedulesDir, "schedules", "", "folder of PingSource manifests: sweeps to run again and again")
	f.StringVar(&cfg.PricesDir, "prices", "", "folder of CSV price files for the simulator")
	f.StringVar(&logs, "log", "", "file for the JSON log, - for the error output (default: sweepline.log in the data folder)")
	return cmd
}

// openLog gives where the JSON log goes, and its name. The file of the run
// before is kept beside it.
func openLog(cfg runner.Config, name string) (*os.File, string, error) {
	if name == "-" {
		return os.Stderr, "the error output", nil
	}
	if name == "" {
		dir, err := cfg.Folder()
		if err != nil {
			return nil, "", err
		}
		name = filepath.Join(dir, "sweepline.log")
	}
	if err := os.Rename(name, name+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, "", fmt.Errorf("keep the log before: %w", err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("open log: %w", err)
	}
	return f, name, nil
}
