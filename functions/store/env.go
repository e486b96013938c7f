package store

import (
	"context"
	"errors"

	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/ledger/postgres"
	"github.com/zixly/sweepline/shared/serve"
)

// FromEnv makes the step from the environment, on PostgreSQL. That may be down:
// it is needed by the first event. A database that can never be used is an
// error.
func FromEnv(ctx context.Context) (*Function, error) {
	var db postgres.Config
	if err := serve.Load(&db); err != nil {
		return nil, err
	}
	l, err := postgres.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	if err := ledger.Start(ctx, l); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	f, err := New(l, nil)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	f.close = l.Close
	return f, nil
}
