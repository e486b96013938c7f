package wait

import (
	"context"
	"fmt"
	"time"
)

// Counts are how many jobs are where.
type Counts struct {
	// Waiting are begun, not ended and not queued: their sweep is at the API or about
	// to be. Ended ones with pending actions count as well.
	Waiting int64
	// Parked are queued.
	Parked int64
	// Slots are taken. Without a slot limit they are the admitted jobs that have not
	// started.
	Slots int64
	// Overdue have been due for more than overdueAfter: no supervisor handles them, or
	// not fast enough. Polls for which the API's budget has no calls are excluded.
	Overdue int64
	// APIFailures is the number of consecutive failures of the trading API that the
	// breakers counted: of submissions or of calls about sweeps, whichever is more; 0
	// after a success, and some minutes after the last failure.
	APIFailures int64
}

// overdueAfter is well above a supervisor's lease: a wait whose supervisor has
// just died is not overdue yet.
const overdueAfter = 2 * time.Minute

// Count is cheap: it costs the same however many there are.
func (w *Waits) Count(ctx context.Context) (Counts, error) {
	n, err := w.run(ctx, countScript, overdueAfter.Milliseconds()).Int64Slice()
	if err == nil && len(n) != 5 {
		err = errAnswer
	}
	if err != nil {
		return Counts{}, fmt.Errorf("count waits: %w", err)
	}
	return Counts{Waiting: max(n[0]-n[1], 0), Parked: n[1], Slots: n[2], Overdue: n[3], APIFailures: n[4]}, nil
}
