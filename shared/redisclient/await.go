package redisclient

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// startTimeout is how long a Redis may take to load its data.
	startTimeout = 2 * time.Minute
	startPause   = 250 * time.Millisecond
)

// Await returns once Redis takes commands, and does with it what a start needs. It waits,
// and says so, while Redis loads its data, has no room or cannot write, or a Cluster or
// replica finds its primary: two minutes at most. Any other error, such as that of a Redis
// that is not there, is returned at once. do may be called more than once.
func Await(ctx context.Context, client redis.UniversalClient, log *slog.Logger, do ...func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	waited := false
	for began := time.Now(); ; {
		err := client.Ping(ctx).Err()
		for i := 0; err == nil && i < len(do); i++ {
			err = do[i](ctx)
		}
		switch {
		case err == nil && waited:
			log.InfoContext(ctx, "connected to Redis", "seconds", time.Since(began).Seconds())
			return nil
		case err == nil:
			return nil
		case !starting(err):
			return fmt.Errorf("start with redis: %w", err)
		case !waited:
			waited = true
			log.WarnContext(ctx, "waiting for Redis", "timeout_seconds", startTimeout.Seconds(), "error", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for redis: %w", err)
		case <-time.After(startPause):
		}
	}
}

// starting reports whether Redis has answered that it cannot be used yet.
func starting(err error) bool {
	return HasCode(err, "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "OOM", "READONLY", "MISCONF", "NOREPLICAS")
}
