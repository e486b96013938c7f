package wait

import (
	"context"
	"fmt"
	"time"
)

// Counts are how many jobs are where.
type Counts struct {
	// Waiting are begun and not ended, and not in line: their sweep is at the
	// API or about to be. Ended ones with chores count as well.
	Waiting int64
	// Parked stand in line.
	Parked int64
	// Slots are taken. Where they have no limit it is the turns that have been
	// given and not taken up.
	Slots int64
	// Overdue should have been looked at more than overdueAfter ago: nobody
	// tends the waits, or not fast enough. Polls for which the API's budget has no
	// calls are not among them.
	Overdue int64
	// APIFailures is how often in a row the trading API did not answer, as far as
	// it counts: submissions, or calls about sweeps, whichever is more; 0 after an
	// answer, and some minutes after the last failure.
	APIFailures int64
}

// overdueAfter is well above a supervisor's lease: a wait whose supervisor has
// just died is not overdue yet.
const overdueAfter = 2 * time.Minute

// Count is cheap: it costs the same however many there are.
func (w *Waits) Count(ctx context.Context) (Counts, error) {
	n, err := w.run(ctx, countScript, overdueAfter.Milliseconds()).Int64Slice()
	if err != nil || len(n) != 5 {
		return Counts{}, fmt.Errorf("count waits: %w", err)
	}
	return Counts{Waiting: max(n[0]-n[1], 0), Parked: n[1], Slots: n[2], Overdue: n[3], APIFailures: n[4]}, nil
}
