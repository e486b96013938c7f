package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/manifest"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/telemetry"
)

// brokerEnv is what the broker alone needs of the environment.
type brokerEnv struct {
	// RedisURL is the Redis that the broker runs on, or that is looked into.
	RedisURL string `envconfig:"REDIS_URL"`
}

func newBroker() *cobra.Command {
	var (
		dir, address    string
		port, adminPort int
	)
	cmd := &cobra.Command{
		Use:   "broker --config DIR",
		Short: "Run the Redis Streams broker alone",
		Long: `Runs the broker on $REDIS_URL with the Brokers and Triggers found in DIR: YAML of
eventing.knative.dev/v1, subscribers by uri. Changed, new and deleted files are
applied while it runs; what is no longer defined is removed after a minute. What
is invalid is logged by name, and the rest is served. Its own settings are BROKER_…
variables.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var env brokerEnv
			cfg := broker.DefaultConfig()
			var traced telemetry.TraceConfig
			if err := function.Load(&env, &cfg, &traced); err != nil {
				return usageError{err}
			}
			if env.RedisURL == "" {
				return usagef("REDIS_URL is not set: name the Redis to run on, as redis://localhost:6379/0")
			}
			if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				return usagef("--config: %s is not a folder", dir)
			}
			files := os.DirFS(dir)
			set, err := manifest.Load(files, manifest.Options{})
			if err != nil {
				return usageError{err}
			}
			log := telemetry.NewLogger(cmd.ErrOrStderr(), slog.LevelInfo)
			slog.SetDefault(log)
			traces, err := telemetry.NewTraces(cmd.Context(), traced)
			if err != nil {
				return usageError{err}
			}
			defer func() { _ = traces.Close() }()
			tracer, err := traces.Service(cmd.Context(), "broker")
			if err != nil {
				return err
			}
			client, err := redisclient.New(env.RedisURL)
			if err != nil {
				return usageError{err}
			}
			defer func() { _ = client.Close() }()
			b, err := broker.New(cfg, client, prometheus.DefaultRegisterer, log)
			if err != nil {
				return usageError{err}
			}
			defer func() { _ = b.Close() }()
			ctx := cmd.Context()
			if err := redisclient.Await(ctx, client, log, b.Check); err != nil {
				return err
			}
			if err := redisclient.Await(ctx, client, log, func(ctx context.Context) error { return b.Apply(ctx, set) }); err != nil {
				return err
			}
			l, err := listen(ctx, address, port)
			if err != nil {
				return err
			}
			adminListener, err := listen(ctx, address, adminPort)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, name := range set.Brokers {
				fmt.Fprintf(out, "Broker http://%s/%s\n", l.Addr(), name)
			}
			fmt.Fprintf(out, "%d Triggers; metrics at http://%s/metrics\n", len(set.Triggers), adminListener.Addr())
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return serveUntil(ctx, l, b.Handler()) })
			g.Go(func() error {
				return serveUntil(ctx, adminListener, function.Operations(function.Checks{"redis": b.Ready}, prometheus.DefaultGatherer))
			})
			g.Go(func() error { return b.Run(telemetry.WithTracer(ctx, tracer)) })
			g.Go(func() error {
				manifest.Watch(ctx, files, manifest.Options{}, time.Second, b.Apply, log)
				return nil
			})
			return g.Wait()
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "config", "", "folder of Broker and Trigger YAML")
	portVar(f, &port, "port", 8081, "port of the ingress, 0 for any free one")
	portVar(f, &adminPort, "admin-port", 9090, "port of metrics and health, 0 for any free one")
	f.StringVar(&address, "address", "127.0.0.1", "address to listen at")
	_ = cmd.MarkFlagRequired("config")
	cmd.AddCommand(newBrokerStatus())
	return cmd
}
