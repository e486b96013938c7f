package jobstore

import (
	"context"
	"errors"
	"log/slog"
)

// Start brings the schema up to date before anything else is done. It returns an
// error where that can never succeed. A database that is not there now is none:
// it is waited for by the first call.
func Start(ctx context.Context, l interface{ Start(context.Context) error }) error {
	err := l.Start(ctx)
	if errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		slog.WarnContext(ctx, "database unavailable, retrying with the first event", "error", err)
		return nil
	}
	return err
}
