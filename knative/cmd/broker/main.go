// Command broker is the data plane of one Broker of class RedisStreams, in one
// of two roles: the ingress stores events, the dispatcher delivers them. It
// serves the contract that is mounted to it, and knows no API server.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/memory"
	"github.com/zixly/sweepline/shared/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		slog.Error("broker stopped", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var cfg Config
	var traced telemetry.TraceConfig
	if err := function.Load(&cfg, &cfg.Broker, &traced); err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return fmt.Errorf("LOG_LEVEL: %w", err)
	}
	log := telemetry.NewLogger(os.Stderr, level)
	slog.SetDefault(log)
	memory.Bound()
	redis.SetLogger(quiet{}) // what matters of it comes as errors, too
	traces, err := telemetry.NewTraces(ctx, traced)
	if err != nil {
		return err
	}
	defer func() {
		if err := traces.Close(); err != nil {
			log.WarnContext(ctx, "spans lost", "error", err)
		}
	}()
	tracer, err := traces.Service(ctx, "broker")
	if err != nil {
		return err
	}
	p, err := open(cfg, log)
	if err != nil {
		return err
	}
	return p.run(telemetry.WithTracer(ctx, tracer))
}

// quiet drops the lines that the Redis client prints.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
