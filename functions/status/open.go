package status

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9" //nolint:depguard // the Inspector takes a client, and this is a process' root

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/intake"
	"github.com/zixly/sweepline/shared/ledger/postgres"
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
	client, err := dial(waiting.RedisURL)
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
	f, err := New(cfg, Deps{Jobs: book, Waits: records, Cancel: records, Intake: in, Letters: inspector, Keys: keys})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make status: %w", err), closeAll())
	}
	f.close = closeAll
	return f, nil
}

// dial makes the Inspector's client, for the same kinds of URL as the waits
// take. It does no I/O.
func dial(address string) (redis.UniversalClient, error) {
	bad := errors.New("REDIS_URL is not a Redis URL") // the parsers' errors repeat it
	switch {
	case strings.Contains(address, "master_name="):
		o, err := redis.ParseFailoverURL(address)
		if err != nil {
			return nil, bad
		}
		return redis.NewFailoverClient(o), nil
	case strings.Contains(address, "addr="):
		o, err := redis.ParseClusterURL(address)
		if err != nil {
			return nil, bad
		}
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(address)
		if err != nil {
			return nil, bad
		}
		return redis.NewClient(o), nil
	}
}
