package submit

import (
	"context"
	"errors"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// FromEnv makes the function of a process of its own.
func FromEnv(ctx context.Context) (*Function, error) {
	var (
		cfg     Config
		api     trading.Config
		waiting wait.Config
	)
	if err := function.Load(&cfg, &api, &waiting); err != nil {
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
	f, err := New(cfg, waits, client)
	if err != nil {
		return nil, errors.Join(err, waits.Close())
	}
	f.close = func() error {
		client.Close()
		return waits.Close()
	}
	return f, nil
}

func ready(ctx context.Context, waits *wait.Waits) (bool, error) {
	return function.Check(ctx, map[string]func(context.Context) error{"redis": waits.Ping})
}
