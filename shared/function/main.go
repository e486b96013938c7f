package function

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
	ce "knative.dev/func-go/cloudevents"
	funchttp "knative.dev/func-go/http"

	"github.com/zixly/sweepline/shared/telemetry"
)

// processStart is as early as Go code can look at the clock.
var processStart = time.Now()

// slowest bounds one answer. Handlers that call out have shorter deadlines of
// their own; event streams move theirs on with every write.
const slowest = 5 * time.Minute

// Main is the whole main of a function's process. It ends when the process is
// told to (SIGTERM, SIGINT) or cannot go on, with exit code 0 or 1.
func Main[F any](name string, fromEnv func(context.Context) (F, error)) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := Run(ctx, name, fromEnv)
	stop()
	if err != nil {
		slog.Error("Function stopped", "step", name, "error", err)
		os.Exit(1)
	}
}

// Run makes the function from the environment and serves it until ctx ends;
// then requests under way are finished (30 s at most), and the function's Stop
// is called.
func Run[F any](ctx context.Context, name string, fromEnv func(context.Context) (F, error)) error {
	level, err := prepare()
	if err != nil {
		return err
	}
	slog.SetDefault(telemetry.NewLogger(os.Stderr, level))
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
			slog.WarnContext(ctx, "Spans lost", "step", name, "error", err)
		}
	}()
	tracer, err := traces.Service(ctx, name)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	ctx = telemetry.WithTracer(ctx, tracer)
	fn, err := fromEnv(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	svc, err := newService(name, fn, tracer)
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "Function starting", "step", name)
	if err := svc.Start(ctx); err != nil {
		return fmt.Errorf("serve %s: %w", name, err)
	}
	slog.InfoContext(ctx, "Function stopped", "step", name)
	return nil
}

// prepare reads what the runtime itself needs and hands func-go its address:
// it reads it from the environment and from nowhere else.
func prepare() (slog.Level, error) {
	// func-go logs every start and stop through zerolog, at debug and not as
	// our lines. Its errors are returned as values too.
	zerolog.SetGlobalLevel(zerolog.Disabled)
	var cfg listener
	if err := Load(&cfg); err != nil {
		return 0, err
	}
	var level slog.Level
	if level.UnmarshalText([]byte(cfg.LogLevel)) != nil {
		return 0, fmt.Errorf("LOG_LEVEL is not one of debug, info, warn, error")
	}
	if err := os.Setenv("LISTEN_ADDRESS", cfg.address()); err != nil {
		return 0, fmt.Errorf("set LISTEN_ADDRESS: %w", err)
	}
	return level, nil
}

// service is what func-go's two services have in common.
type service interface {
	Start(context.Context) error
}

func newService(name string, fn any, tracer trace.TracerProvider) (service, error) {
	h, err := Handler(name, fn, ProcessMetrics())
	if err != nil {
		return nil, err
	}
	h = Traced(h, tracer)
	if f, ok := fn.(EventFunction); ok {
		svc := ce.New(f)
		tune(&svc.Server, name, h, fn)
		return svc, nil
	}
	svc := funchttp.New(fn.(HTTPFunction))
	tune(&svc.Server, name, h, fn)
	return svc, nil
}

// tune puts our handler and limits in place of func-go's.
func tune(s *http.Server, name string, h http.Handler, fn any) {
	s.Handler = h
	// Called once it listens: from here on a probe, or an event, is answered. How
	// long after the start that is, is our part of a cold start.
	s.BaseContext = func(net.Listener) context.Context {
		ctx := context.Background()
		slog.InfoContext(ctx, "Function ready", "step", name, "after_ms", time.Since(processStart).Milliseconds())
		return ctx
	}
	s.ReadHeaderTimeout = 5 * time.Second
	s.ReadTimeout = 0 // bodies have a deadline of their own; this one would cut event streams off
	s.WriteTimeout = slowest
	s.IdleTimeout = 2 * time.Minute // above the senders', who should be the ones to close
	s.MaxHeaderBytes = 64 << 10
	s.ErrorLog = slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug)
	if d, ok := fn.(Drainer); ok {
		s.RegisterOnShutdown(d.Drain)
	}
}
