package supervise

import (
	"context"
	"errors"
	"log/slog"

	"github.com/zixly/sweepline/shared/ledger/postgres"
	"github.com/zixly/sweepline/shared/serve"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// database is where the ledger is.
type database struct {
	// URL is the ledger's; without it jobs are not reconciled.
	URL string `envconfig:"DATABASE_URL"`
}

// FromEnv makes the function of a process of its own. PostgreSQL may be down:
// jobs are reconciled when it is back.
func FromEnv(ctx context.Context) (*Function, error) {
	var (
		cfg     Config
		out     serve.Config
		api     trading.Config
		waiting wait.Config
		rec     ReconcileConfig
		db      database
	)
	if err := serve.Load(&cfg, &out, &api, &waiting, &rec, &db); err != nil {
		return nil, err
	}
	sink, err := serve.NewSink(out, serve.OfAcceptedWork())
	if err != nil {
		return nil, err
	}
	waits, err := wait.Open(ctx, waiting)
	if err != nil {
		return nil, err
	}
	client, err := trading.Open(api, waits, serve.ProcessMetrics())
	if err != nil {
		return nil, errors.Join(err, waits.Close())
	}
	closing := []func() error{waits.Close, func() error { client.Close(); return nil }}
	stop := func() error {
		var errs []error
		for _, c := range closing {
			errs = append(errs, c())
		}
		return errors.Join(errs...)
	}
	var options []Option
	if db.URL == "" {
		slog.WarnContext(ctx, "DATABASE_URL is not set: jobs are not reconciled, those whose records or events get lost stay open")
	} else {
		book, err := postgres.OpenReader(ctx, serve.Load)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		closing = append(closing, book.Close)
		r, err := NewReconciler(rec, book, waits, sink, serve.ProcessMetrics())
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		options = append(options, WithReconciler(r))
	}
	f, err := New(cfg, waits, client, sink, serve.ProcessMetrics(), options...)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	f.close = stop
	return f, nil
}
