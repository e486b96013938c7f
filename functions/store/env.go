package store

import (
	"context"
	"errors"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
)

// FromEnv makes the step from the environment, on PostgreSQL. That may be down:
// it is needed by the first event. A database that can never be used is an
// error.
func FromEnv(ctx context.Context) (*Function, error) {
	var db postgres.Config
	if err := function.Load(&db); err != nil {
		return nil, err
	}
	l, err := postgres.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	if err := jobstore.Start(ctx, l); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	f, err := New(l, nil)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	f.close = l.Close
	return f, nil
}
