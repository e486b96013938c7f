package submit

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/shared/serve"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// FromEnv makes the function of a process of its own.
func FromEnv(ctx context.Context) (*Function, error) {
	var (
		cfg     Config
		api     trading.Config
		waiting wait.Config
	)
	if err := serve.Load(&cfg, &api, &waiting); err != nil {
		return nil, err
	}
	client, err := trading.New(api, trading.WithObserver(latency(serve.ProcessMetrics())))
	if err != nil {
		return nil, err
	}
	waits, err := wait.Open(ctx, waiting)
	if err != nil {
		return nil, err
	}
	f, err := New(cfg, waits, client)
	if err != nil {
		return nil, errors.Join(err, waits.Close())
	}
	f.close = func() error {
		client.Close()
		return waits.Close()
	}
	return f, nil
}

// latency feeds pipeline_trading_api_latency_seconds.
func latency(reg prometheus.Registerer) trading.Observer {
	seconds := telemetry.Register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "pipeline_trading_api_latency_seconds", Help: "Time to an answer of the trading API.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"endpoint"}))
	return func(endpoint string, took time.Duration) { seconds.WithLabelValues(endpoint).Observe(took.Seconds()) }
}

func ready(ctx context.Context, waits *wait.Waits) (bool, error) {
	return serve.Check(ctx, map[string]func(context.Context) error{"redis": waits.Ping})
}
