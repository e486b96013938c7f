package collect

import (
	"context"
	"log/slog"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// budget is where the calls that the API takes are counted.
type budget struct {
	// RedisURL is the Redis of the other steps. It is optional: without it pages are
	// fetched without regard to the API's limit, and answers of 429 slow them down.
	RedisURL string `envconfig:"REDIS_URL"`
}

// Paced takes each page from the budget of the API's calls, so that all steps
// together stay within its limit.
func Paced(waits *wait.Waits) Pace {
	return waits.Pace
}

// Unpaced asks for pages one after another as fast as they come.
func Unpaced(context.Context) error { return nil }

// FromEnv makes the step from the environment, on PostgreSQL and the trading
// API. Both may be down, and Redis too: they are needed by the first event. A
// database that can never be used is an error.
func FromEnv(ctx context.Context) (_ *Function, err error) {
	var (
		cfg    Config
		db     postgres.Config
		api    trading.Config
		shared budget
	)
	if err := function.Load(&cfg, &db, &api, &shared); err != nil {
		return nil, err
	}
	var closing function.Closers
	defer closing.CloseOnError(&err)
	pace := Unpaced
	if shared.RedisURL == "" {
		slog.WarnContext(ctx, "result pages do not count against the trading API's limit: REDIS_URL is not set")
	} else {
		var waiting wait.Config
		if err := function.Load(&waiting); err != nil {
			return nil, err
		}
		waits, err := wait.Open(ctx, waiting)
		if err != nil {
			return nil, err
		}
		closing.Add(waits.Close)
		pace = Paced(waits)
	}
	client, err := trading.New(api, trading.WithMetrics(function.ProcessMetrics()))
	if err != nil {
		return nil, err
	}
	closing.Add(func() error { client.Close(); return nil })
	l, err := postgres.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	closing.Add(l.Close)
	if err := jobstore.Start(ctx, l); err != nil {
		return nil, err
	}
	f, err := New(cfg, l, client, pace, nil)
	if err != nil {
		return nil, err
	}
	f.close = closing.Close
	return f, nil
}
