package notify

import (
	"context"
	"log/slog"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/wait"
)

// database is where the rows of the heat map are.
type database struct {
	// URL is the job store's. It is optional: without it messages have no picture.
	URL string `envconfig:"DATABASE_URL"`
}

// FromEnv makes the step from the environment, on Redis and the broker at
// K_SINK. PostgreSQL may be down, or not be named at all: it costs the picture.
func FromEnv(ctx context.Context) (_ *Function, err error) {
	var (
		cfg   Config
		to    sink.Config
		waits wait.Config
		rows  database
	)
	if err := function.Load(&cfg, &to, &waits, &rows); err != nil {
		return nil, err
	}
	var closing function.Closers
	defer closing.CloseOnError(&err)
	sender, err := sink.New(to, sink.OfAcceptedWork())
	if err != nil {
		return nil, err
	}
	guard, err := wait.Open(ctx, waits)
	if err != nil {
		return nil, err
	}
	closing.Add(guard.Close)
	options := []Option{WithMetrics(function.ProcessMetrics())}
	if rows.URL == "" {
		slog.InfoContext(ctx, "messages have no heat map: DATABASE_URL is not set")
	} else {
		book, err := postgres.OpenReader(ctx, function.Load)
		if err != nil {
			return nil, err
		}
		closing.Add(book.Close)
		options = append(options, WithRows(book))
	}
	f, err := New(cfg, guard, sender, options...)
	if err != nil {
		return nil, err
	}
	f.close = closing.Close
	return f, nil
}
