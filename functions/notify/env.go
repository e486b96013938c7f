package notify

import (
	"context"
	"errors"

	"github.com/zixly/sweepline/shared/serve"
	"github.com/zixly/sweepline/shared/wait"
)

// FromEnv makes the step from the environment, on Redis and the broker at
// K_SINK.
func FromEnv(ctx context.Context) (*Function, error) {
	var (
		cfg   Config
		sink  serve.Config
		waits wait.Config
	)
	if err := serve.Load(&cfg, &sink, &waits); err != nil {
		return nil, err
	}
	sender, err := serve.NewSink(sink)
	if err != nil {
		return nil, err
	}
	guard, err := wait.Open(ctx, waits)
	if err != nil {
		return nil, err
	}
	f, err := New(cfg, guard, sender)
	if err != nil {
		return nil, errors.Join(err, guard.Close())
	}
	f.close = guard.Close
	return f, nil
}
