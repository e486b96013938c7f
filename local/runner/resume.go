package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/zixly/sweepline/shared/jobstore/postgres"
)

const (
	// resumeTimeout bounds finding unfinished jobs in external stores at start.
	resumeTimeout = 20 * time.Second
	// startTimeout is how long PostgreSQL may take to start: after a crash it has
	// a log to replay.
	startTimeout = 2 * time.Minute
	startPause   = 500 * time.Millisecond
)

// resume restores unfinished jobs of an earlier process that Redis has lost: always
// with an embedded Redis, and with a real one that has lost its data. The supervisor
// continues to do so while the process runs.
func (l *Local) resume(ctx context.Context) error {
	if err := l.awaitJobStore(ctx); err != nil {
		return err
	}
	if l.stores.embedded {
		repairs, _, err := l.reconciler.RunIfDue(ctx)
		if err != nil {
			return fmt.Errorf("resume unfinished jobs: %w", err)
		}
		l.Resumed = repairs.Jobs()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, resumeTimeout)
	defer cancel()
	repairs, _, err := l.reconciler.RunIfDue(ctx)
	if err != nil { // an unavailable database must not block new jobs
		l.log.WarnContext(ctx, "resuming unfinished jobs failed, retrying", "error", err)
	}
	l.Resumed = repairs.Jobs()
	return nil
}

// awaitJobStore waits for a PostgreSQL that is starting. It does not wait for one that
// is unreachable or refuses the connection: the steps report that.
func (l *Local) awaitJobStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	waited := false
	for {
		err := l.stores.jobStore.Ping(ctx)
		switch {
		case !postgres.Starting(err):
			if waited && err == nil {
				l.log.InfoContext(ctx, "connected to PostgreSQL")
			}
			return nil
		case !waited:
			waited = true
			l.log.WarnContext(ctx, "waiting for PostgreSQL", "timeout_seconds", startTimeout.Seconds(), "error", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w", err)
		case <-time.After(startPause):
		}
	}
}
