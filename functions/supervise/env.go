package supervise

import (
	"context"
	"log/slog"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// database is where the job store is.
type database struct {
	// URL is the job store's. It is optional: without it jobs are not reconciled.
	URL string `envconfig:"DATABASE_URL"`
}

// FromEnv makes the function of a process of its own. PostgreSQL may be down:
// jobs are reconciled when it is back.
func FromEnv(ctx context.Context) (_ *Function, err error) {
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
	var closing function.Closers
	defer closing.CloseOnError(&err)
	sender, err := sink.New(out, sink.OfAcceptedWork())
	if err != nil {
		return nil, err
	}
	waits, err := wait.Open(ctx, waiting)
	if err != nil {
		return nil, err
	}
	closing.Add(waits.Close)
	client, err := trading.Open(api, waits, function.ProcessMetrics())
	if err != nil {
		return nil, err
	}
	closing.Add(func() error { client.Close(); return nil })
	var options []Option
	if db.URL == "" {
		slog.WarnContext(ctx, "reconciling is off, jobs that lose their record or event stay open: DATABASE_URL is not set")
	} else {
		book, err := postgres.OpenReader(ctx, function.Load)
		if err != nil {
			return nil, err
		}
		closing.Add(book.Close)
		r, err := NewReconciler(rec, book, waits, sender, function.ProcessMetrics())
		if err != nil {
			return nil, err
		}
		options = append(options, WithReconciler(r))
	}
	f, err := New(cfg, waits, client, sender, function.ProcessMetrics(), options...)
	if err != nil {
		return nil, err
	}
	f.close = closing.Close
	return f, nil
}
