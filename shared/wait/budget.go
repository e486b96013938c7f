package wait

import (
	"context"
	"fmt"
	"time"
)

// Urgency orders calls to the API when there are few left.
type Urgency int

// The urgencies. Whoever can wait leaves a quarter of the burst to the others.
const (
	Patient Urgency = iota
	Urgent
)

// Allow takes one call from the API's budget, which all processes share. It
// returns 0, or how long to wait before asking again.
//
// The API counts calls in a minute. A fifth of them may come at once and the
// rest flow in evenly, so that no minute, wherever it begins, sees more.
func (w *Waits) Allow(ctx context.Context, u Urgency) (time.Duration, error) {
	n := w.cfg.RequestsPerMinute
	if n == 0 {
		return 0, nil
	}
	burst := max(n/5, 1)
	flow := max(n-burst, 1)
	leave := 0
	if u == Patient {
		leave = burst / 4
	}
	ms, err := allowScript.Run(ctx, w.redis, []string{w.keys.bucket()}, w.ms(), flow, burst, leave).Int64()
	if err != nil {
		return 0, fmt.Errorf("take call from budget: %w", err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Await takes one call from the API's budget, however long that takes. It ends
// with ctx.
func (w *Waits) Await(ctx context.Context, u Urgency) error {
	for {
		pause, err := w.Allow(ctx, u)
		if err != nil || pause == 0 {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("await call from budget: %w", ctx.Err())
		case <-timer.C:
		}
	}
}
