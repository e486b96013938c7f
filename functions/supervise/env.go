package supervise

import (
	"context"
	"errors"
	"log/slog"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// database is where the job store is.
type database struct {
	// URL is the job store's; without it jobs are not reconciled.
	URL string `envconfig:"DATABASE_URL"`
}

// FromEnv makes the function of a process of its own. PostgreSQL may be down:
// jobs are reconciled when it is back.
func FromEnv(ctx context.Context) (*Function, error) {
	var (
		cfg     Config
		out     sink.Config
		api     trading.Config
		waiting wait.Config
		rec     ReconcileConfig
		db      database
	)
	if err := function.Load(&cfg, &out, &api, &waiting, &rec, &db); err != nil {
		return nil, err
	}
	sender, err := sink.New(out, sink.OfAcceptedWork())
	if err != nil {
		return nil, err
	}
	waits, err := wait.Open(ctx, waiting)
	if err != nil {
		return nil, err
	}
	client, err := trading.Open(api, waits, function.ProcessMetrics())
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
		slog.WarnContext(ctx, "DATABASE_URL is not set: reconciling is off, jobs that lose their record or event stay open")
	} else {
		book, err := postgres.OpenReader(ctx, function.Load)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		closing = append(closing, book.Close)
		r, err := NewReconciler(rec, book, waits, sender, function.ProcessMetrics())
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		options = append(options, WithReconciler(r))
	}
	f, err := New(cfg, waits, client, sender, function.ProcessMetrics(), options...)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	f.close = stop
	return f, nil
}
