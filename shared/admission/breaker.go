package admission

import (
	"context"
	"fmt"
	"time"
)

// Breaker names one of the two circuit breakers, by its key.
type Breaker string

// The breakers. The failures of one kind of call say nothing about the other: an API
// at its limit may still answer status requests.
const (
	// Submissions: while it is open no job is admitted. Its key is "gate".
	Submissions Breaker = "gate"
	// Reads: all calls about existing sweeps. While it is open no polls, lookups and
	// cancels are granted.
	Reads Breaker = "reads"
)

// Report records the outcome of an API call for all processes, if no step of a wait
// does so. A failure opens the breaker, with exponential backoff; then one call is the
// probe. retryAfter is the API's Retry-After: no call is made before it has passed,
// even after a success. It returns for how long the breaker is open.
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
