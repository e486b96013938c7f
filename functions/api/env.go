package api

import (
	"context"

	"github.com/zixly/sweepline/shared/jobs"
)

// FromEnv makes the function of a process of its own.
func FromEnv(ctx context.Context) (*Function, error) {
	s, err := jobs.FromEnv(ctx)
	if err != nil {
		return nil, err
	}
	return New(s)
}
