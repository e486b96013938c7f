package runner

import (
	"context"
	"fmt"
	"time"
)

// takeUpPatience is how long the start waits for servers of others to say what
// is unfinished.
const takeUpPatience = 20 * time.Second

// takeUp brings on what an earlier process left and Redis does not know any
// more: always with an embedded Redis, and with a real one that has lost its
// data. The supervisor goes on doing so while the process runs.
func (l *Local) takeUp(ctx context.Context) error {
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
