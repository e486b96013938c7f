package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/connect"
	"github.com/zixly/sweepline/shared/intake"
	"github.com/zixly/sweepline/shared/ledger/postgres"
	"github.com/zixly/sweepline/shared/restore"
	"github.com/zixly/sweepline/shared/serve"
	"github.com/zixly/sweepline/shared/tenant"
	"github.com/zixly/sweepline/shared/wait"
)

// FromEnv makes the function of a process of its own.
func FromEnv(ctx context.Context) (*Function, error) {
	var (
		cfg     Config
		out     serve.Config
		tenants tenant.Config
		waiting wait.Config
		books   postgres.Config
	)
	if err := serve.Load(&cfg, &out, &tenants, &waiting, &books); err != nil {
		return nil, err
	}
	keys, err := tenant.New(tenants)
	if err != nil {
		return nil, err
	}
	sink, err := serve.NewSink(out)
	if err != nil {
		return nil, err
	}
	client, err := connect.Redis(waiting.RedisURL)
	if err != nil {
		return nil, err
	}
	inspector, err := broker.NewInspector(client)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	records, err := wait.Open(ctx, waiting)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	book, err := postgres.Open(ctx, books)
	if err != nil {
		return nil, errors.Join(err, records.Close(), client.Close())
	}
	closeAll := func() error { return errors.Join(book.Close(), records.Close(), client.Close()) }
	in, err := intake.New(records, sink, time.Now)
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	lost, err := restore.New(book, records, sink)
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	f, err := New(cfg, Deps{Jobs: book, Waits: records, Cancel: records, Lost: lost, Intake: in, Letters: inspector, Keys: keys})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make status: %w", err), closeAll())
	}
	f.close = closeAll
	return f, nil
}
