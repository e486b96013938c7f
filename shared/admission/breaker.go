package admission

import (
	"context"
	"fmt"
	"time"
)

// Breaker names one of the two.
type Breaker string

// The breakers. What the one kind of call meets says nothing of the other: an
// API may be full and still tell of its sweeps.
const (
	// Submissions: while it is shut nobody gets a turn.
	Submissions Breaker = "gate"
	// Reads: all calls about sweeps that exist. While it is shut no polls,
	// looks and cancels are dealt.
	Reads Breaker = "reads"
)

// Report tells all processes how a call to the API went, where no step of a wait
// does so. A failure shuts the breaker for a while, longer each time; then one
// call tries. retryAfter is what the API asked for: nobody calls before that
// time has passed, whatever succeeds meanwhile. It returns for how long the
// breaker is shut.
func (a *Admission) Report(ctx context.Context, b Breaker, ok bool, retryAfter time.Duration) (time.Duration, error) {
	good := 0
	if ok {
		good = 1
	}
	ms, err := a.Run(ctx, reportScript, string(b), good, retryAfter.Milliseconds()).Int64()
	if err != nil {
		return 0, fmt.Errorf("report API state: %w", err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}
