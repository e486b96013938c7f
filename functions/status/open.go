package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/restore"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/wait"
)

// FromEnv makes the function of a process of its own.
func FromEnv(ctx context.Context) (*Function, error) {
	var (
		cfg     Config
		out     sink.Config
		tenants auth.Config
		waiting wait.Config
		books   postgres.Config
	)
	if err := function.Load(&cfg, &out, &tenants, &waiting, &books); err != nil {
		return nil, err
	}
	keys, err := auth.New(tenants)
	if err != nil {
		return nil, err
	}
	sender, err := sink.New(out)
	if err != nil {
		return nil, err
	}
	client, err := redisclient.New(waiting.RedisURL)
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
	in, err := enqueue.New(records, sender, time.Now)
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	lost, err := restore.New(book, records, sender)
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	f, err := New(cfg, Deps{Jobs: book, Waits: records, Cancel: records, Lost: lost, Enqueuer: in, Letters: inspector, Keys: keys})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make status: %w", err), closeAll())
	}
	f.close = closeAll
	return f, nil
}
