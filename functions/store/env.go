package store

import (
	"context"

	"github.com/zixly/sweepline/shared/ledger/postgres"
	"github.com/zixly/sweepline/shared/serve"
	"github.com/zixly/sweepline/shared/trading"
)

// FromEnv makes the step from the environment, on PostgreSQL and the trading
// API. Both may be down: they are needed by the first event.
func FromEnv(ctx context.Context) (*Function, error) {
	var (
		cfg Config
		db  postgres.Config
		api trading.Config
	)
	if err := serve.Load(&cfg, &db, &api); err != nil {
		return nil, err
	}
	client, err := trading.New(api, trading.WithMetrics(serve.ProcessMetrics()))
	if err != nil {
		return nil, err
	}
	l, err := postgres.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	f, err := New(cfg, l, client, nil)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	f.close = func() error {
		client.Close()
		return l.Close()
	}
	return f, nil
}
