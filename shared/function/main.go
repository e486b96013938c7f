package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zixly/sweepline/shared/memory"
	"github.com/zixly/sweepline/shared/seal"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/transport"
)

// processStart is as early as Go code can look at the clock.
var processStart = time.Now()

// slowest bounds one answer. Handlers that call out have shorter deadlines of
// their own; event streams move theirs on with every write.
const slowest = 5 * time.Minute

// stopTimeout bounds the end of requests under way, and then that of the function.
const stopTimeout = 30 * time.Second

// Main is the whole main of a function's process. It ends when the process is
// told to (SIGTERM, SIGINT) or cannot go on, with exit code 0 or 1.
func Main[F any](name string, fromEnv func(context.Context) (F, error)) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := Run(ctx, name, fromEnv)
	stop()
	if err != nil {
		slog.Error("function stopped", "step", name, "error", err)
		os.Exit(1)
	}
}

// Run makes the function from the environment and serves it until ctx ends;
// then requests under way are finished, and the function's Stop is called.
func Run[F any](ctx context.Context, name string, fromEnv func(context.Context) (F, error)) error {
	var cfg listener
	if err := Load(&cfg); err != nil {
		return err
	}
	var level slog.Level
	if level.UnmarshalText([]byte(cfg.LogLevel)) != nil {
		return errors.New("LOG_LEVEL is not one of debug, info, warn, error")
	}
	slog.SetDefault(telemetry.NewLogger(os.Stderr, level))
	memory.Bound()
	var traced telemetry.TraceConfig
	if err := Load(&traced); err != nil {
		return err
	}
	traces, err := telemetry.NewTraces(ctx, traced)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	defer func() {
		if err := traces.Close(); err != nil {
			slog.WarnContext(ctx, "spans lost", "step", name, "error", err)
		}
	}()
	tracer, err := traces.Service(ctx, name)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	ctx = telemetry.WithTracer(ctx, tracer)
	var kind F
	options, err := sealing(name, kind)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	fn, err := fromEnv(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	h, err := Handler(name, fn, ProcessMetrics(), options...)
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "function starting", "step", name)
	if err := serve(ctx, name, cfg, fn, Traced(h, tracer)); err != nil {
		return fmt.Errorf("serve %s: %w", name, err)
	}
	slog.InfoContext(ctx, "function stopped", "step", name)
	return nil
}

// sealing reads the keys that a function of fn's kind needs.
func sealing(name string, fn any) ([]Option, error) {
	if _, ok := fn.(EventFunction); !ok {
		return nil, nil
	}
	var cfg seal.Config
	if err := Load(&cfg); err != nil {
		return nil, err
	}
	seals, err := seal.New(cfg)
	if err != nil {
		return nil, err
	}
	if seals.Mode() != seal.Required {
		slog.Warn("event seals are not required: events are accepted from any sender", "step", name, "EVENT_SEALS", seals.Mode())
	}
	return []Option{WithSeals(seals)}, nil
}

// serve listens, starts fn and answers requests until ctx ends or one of them cannot go
// on. Then requests under way are finished, and fn is stopped.
func serve(ctx context.Context, name string, cfg listener, fn any, h http.Handler) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.address())
	if err != nil {
		return err
	}
	closeMetrics, err := serveMetrics(ctx, cfg.metricsAddress(), Operations(fn, ProcessMetrics()))
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer closeMetrics()
	server := newServer(name, fn, h)
	g, ctx := errgroup.WithContext(ctx)
	if f, ok := fn.(Starter); ok {
		// Not waited for, as under func's runtime: Ready says when it is done.
		g.Go(func() error { return f.Start(ctx, nil) })
	}
	g.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return server.Shutdown(stop)
	})
	err = g.Wait()
	if f, ok := fn.(Stopper); ok {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, f.Stop(stop))
	}
	return err
}

// serveMetrics answers with h at address, if there is one, until the returned
// func is called: metrics can be read to the end.
func serveMetrics(ctx context.Context, address string, h http.Handler) (func(), error) {
	if address == "" {
		return func() {}, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("METRICS_PORT: %w", err)
	}
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			slog.ErrorContext(ctx, "metrics server failed", "error", err)
		}
	}()
	return func() { _ = s.Close() }, nil
}

// newServer has our limits.
func newServer(name string, fn any, h http.Handler) *http.Server {
	s := &http.Server{
		Handler: h,
		// Called once it listens: from here on a probe, or an event, is answered. How
		// long after the start that is, is our part of a cold start.
		BaseContext: func(net.Listener) context.Context {
			ctx := context.Background()
			slog.InfoContext(ctx, "function ready", "step", name, "after_ms", time.Since(processStart).Milliseconds())
			return ctx
		},
		ReadHeaderTimeout: 5 * time.Second,
		// No ReadTimeout: bodies have a deadline of their own; this one would cut event
		// streams off.
		WriteTimeout:   slowest,
		IdleTimeout:    2 * time.Minute, // above the senders', who should be the ones to close
		MaxHeaderBytes: transport.MaxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	if d, ok := fn.(Drainer); ok {
		s.RegisterOnShutdown(d.Drain)
	}
	return s
}
