package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/zixly/sweepline/local/simulator"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/transport"
)

func newSimulator() *cobra.Command {
	cfg := simulator.DefaultConfig()
	// Variables first, flags win. What cannot be read is reported when it runs:
	// --help must always work.
	envErr := function.Load(&cfg)
	var (
		port    int
		address string
	)
	cmd := &cobra.Command{
		Use:   "simulator",
		Short: "Run the trading API's simulator alone",
		Long: `Runs a trading API that speaks the real one's HTTP and really computes sweeps:
on the real daily closes of DAX, SMI, CAC and FTSE, on CSV files of your own
(--prices), and for any other ticker on a made-up series, marked as synthetic.
Faults are repeatable: the same --seed gives the same ones.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if envErr != nil {
				return usageError{envErr}
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			sim, err := simulator.New(cfg, log)
			if err != nil {
				return usageError{err}
			}
			defer sim.Close()
			l, err := listen(cmd.Context(), address, port)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Trading API simulator at http://%s\n", l.Addr())
			return serveUntil(cmd.Context(), l, sim.Handler())
		},
	}
	f := cmd.Flags()
	portVar(f, &port, "port", 8000, "port, 0 for any free one")
	f.StringVar(&address, "address", "127.0.0.1", "address to listen at")
	f.DurationVar(&cfg.Delay, "delay", cfg.Delay, "how long a sweep takes at least")
	f.IntVar(&cfg.MaxConcurrent, "concurrent", cfg.MaxConcurrent, "how many sweeps run at once, 0 for no limit")
	f.IntVar(&cfg.RequestsPerMinute, "requests-per-minute", cfg.RequestsPerMinute, "answer 429 above it, 0 for no limit")
	f.Float64Var(&cfg.LoseCallbacks, "lose-callbacks", cfg.LoseCallbacks, "share of webhooks never sent, 0 to 1")
	f.Float64Var(&cfg.DuplicateCallbacks, "duplicate-callbacks", cfg.DuplicateCallbacks, "share of webhooks sent twice")
	f.Float64Var(&cfg.EarlyCallbacks, "early-callbacks", cfg.EarlyCallbacks, "share of webhooks sent before the submission is answered")
	f.DurationVar(&cfg.LateCallbacks, "late-callbacks", cfg.LateCallbacks, "hold webhooks back by up to this")
	f.Float64Var(&cfg.LoseAnswers, "lose-answers", cfg.LoseAnswers, "share of accepted submissions whose answer is cut off")
	f.Float64Var(&cfg.Fail, "fail", cfg.Fail, "share of sweeps that fail")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "makes faults and made-up prices repeatable")
	f.StringVar(&cfg.PricesDir, "prices", cfg.PricesDir, "folder of CSV price files")
	f.StringVar(&cfg.StateDir, "state", cfg.StateDir, "folder that keeps sweeps over a restart")
	return cmd
}

func listen(ctx context.Context, address string, port int) (net.Listener, error) {
	if port < 0 || port > 65535 {
		return nil, usagef("--port must be 0 to 65535")
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(address, fmt.Sprint(port)))
	if err != nil {
		return nil, fmt.Errorf("port %d: %w (choose another with --port, 0 for any)", port, err)
	}
	return l, nil
}

// serveUntil serves h on l until ctx ends, then lets requests finish.
func serveUntil(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: transport.BoundBodies(h), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: transport.MaxHeaderBytes,
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return srv.Shutdown(end)
	})
	return g.Wait()
}
