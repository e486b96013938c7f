package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/zixly/sweepline/shared/jobstore/postgres"
)

const (
	// takeUpPatience is how long the start waits for servers of others to say what
	// is unfinished.
	takeUpPatience = 20 * time.Second
	// startPatience is how long PostgreSQL may take to start: after a crash it has
	// a log to replay.
	startPatience = 2 * time.Minute
	startPause    = 500 * time.Millisecond
)

// takeUp brings on what an earlier process left and Redis does not know any
// more: always with an embedded Redis, and with a real one that has lost its
// data. The supervisor goes on doing so while the process runs.
func (l *Local) takeUp(ctx context.Context) error {
	if err := l.awaitJobStore(ctx); err != nil {
		return err
	}
	if l.stores.embedded {
		repairs, _, err := l.reconciler.Turn(ctx)
		if err != nil {
			return fmt.Errorf("take up unfinished jobs: %w", err)
		}
		l.TakenUp = repairs.Jobs()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, takeUpPatience)
	defer cancel()
	repairs, _, err := l.reconciler.Turn(ctx)
	if err != nil { // a database that is away must not keep jobs from being taken in
		l.log.WarnContext(ctx, "Unfinished jobs not taken up, retrying", "error", err)
	}
	l.TakenUp = repairs.Jobs()
	return nil
}

// awaitLedger waits for a PostgreSQL that is starting. One that is not there, or
// that refuses us, is not waited for: the steps tell.
func (l *Local) awaitJobStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	waited := false
	for {
		err := l.stores.jobStore.Ping(ctx)
		switch {
		case !postgres.Starting(err):
			if waited && err == nil {
				l.log.InfoContext(ctx, "PostgreSQL is ready")
			}
			return nil
		case !waited:
			waited = true
			l.log.WarnContext(ctx, "PostgreSQL is starting, waiting", "patience_seconds", startPatience.Seconds(), "error", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w", err)
		case <-time.After(startPause):
		}
	}
}
