package store

import (
	"context"
	"errors"
	"log/slog"

	"github.com/zixly/sweepline/shared/ledger/postgres"
	"github.com/zixly/sweepline/shared/serve"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// budget is where the calls that the API takes are counted.
type budget struct {
	// RedisURL is the Redis of the other steps. Without it pages are fetched
	// without regard to the limit, and answers of 429 are what slows them down.
	RedisURL string `envconfig:"REDIS_URL"`
}

// FromEnv makes the step from the environment, on PostgreSQL and the trading
// API. Both may be down, and Redis too: they are needed by the first event.
func FromEnv(ctx context.Context) (*Function, error) {
	var (
		cfg    Config
		db     postgres.Config
		api    trading.Config
		shared budget
	)
	if err := serve.Load(&cfg, &db, &api, &shared); err != nil {
		return nil, err
	}
	options := []trading.Option{trading.WithMetrics(serve.ProcessMetrics())}
	closing := []func() error{}
	if shared.RedisURL == "" {
		slog.WarnContext(ctx, "REDIS_URL is not set: pages of results are not counted against the trading API's limit")
	} else {
		var waiting wait.Config
		if err := serve.Load(&waiting); err != nil {
			return nil, err
		}
		waits, err := wait.Open(ctx, waiting)
		if err != nil {
			return nil, err
		}
		closing = append(closing, waits.Close)
		options = append(options, trading.WithPace(waits.Pace))
	}
	stop := func() error {
		var errs []error
		for _, c := range closing {
			errs = append(errs, c())
		}
		return errors.Join(errs...)
	}
	client, err := trading.New(api, options...)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	l, err := postgres.Open(ctx, db)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	closing = append(closing, l.Close, func() error { client.Close(); return nil })
	f, err := New(cfg, l, client, nil)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	f.close = stop
	return f, nil
}
