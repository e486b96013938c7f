package receive

import (
	"context"
	"errors"
	"log/slog"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/function"
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
	)
	if err := function.Load(&cfg, &out, &tenants, &waiting); err != nil {
		return nil, err
	}
	keys, err := auth.New(tenants)
	if err != nil {
		return nil, err
	}
	slog.InfoContext(ctx, "authentication configured", "tenants", keys.Admits())
	sender, err := sink.New(out)
	if err != nil {
		return nil, err
	}
	waits, err := wait.Open(ctx, waiting)
	if err != nil {
		return nil, err
	}
	f, err := FromDeps(cfg, waits, sender, keys)
	if err != nil {
		return nil, errors.Join(err, waits.Close())
	}
	f.close = waits.Close
	return f, nil
}
