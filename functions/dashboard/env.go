package dashboard

import (
	"context"
	"errors"

	"github.com/zixly/sweepline/shared/jobs"
)

// FromEnv makes the function of a process of its own.
func FromEnv(ctx context.Context) (*Function, error) {
	var cfg Config
	s, err := jobs.FromEnv(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	f, err := New(cfg, s, Deps{})
	if err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return f, nil
}
