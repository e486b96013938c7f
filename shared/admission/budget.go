package admission

import (
	"context"
	"fmt"
	"time"
)

// Urgency is how soon a caller needs its call. Both are served alike: a process'
// calls go out in the order in which they were asked for, and the processes take
// turns with the line and the polls, which the supervisor deals to.
type Urgency int

// The urgencies.
const (
	Patient Urgency = iota
	Urgent
)

// Allow takes one call from the API's budget if nobody waits for one. It returns
// 0, or how long there will be none. Nobody is remembered: who is in need of a
// call uses Await.
func (a *Admission) Allow(ctx context.Context, _ Urgency) (time.Duration, error) {
	if a.cfg.RequestsPerMinute == 0 {
		return 0, nil
	}
	ms, err := a.Run(ctx, tryScript).Int64()
	if err != nil {
		return 0, fmt.Errorf("take call from budget: %w", err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Await takes one call from the API's budget, however long that takes; it has to
// be made within Fresh. It ends with ctx. All who wait in a process ask with one
// voice, one after the other, and Redis says when to come: the cost is that of
// the calls that are made.
func (a *Admission) Await(ctx context.Context, _ Urgency) error {
	if a.cfg.RequestsPerMinute == 0 {
		return nil
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return fmt.Errorf("await call from budget: %w", ctx.Err())
	}
	for {
		ms, err := a.Run(ctx, askScript, a.party).Int64()
		switch {
		case err != nil:
			return fmt.Errorf("await call from budget: %w", err)
		case ms == 0:
			return nil
		}
		timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("await call from budget: %w", ctx.Err())
		case <-timer.C:
		}
	}
}

// Calls are calls that were dealt with a turn or a due wait and have been counted.
// They are for one goroutine.
type Calls struct {
	n     int
	until time.Time
}

// Dealt is n calls that were asked for at the time of asked, by the process' own
// monotonic clock: taken before Redis was asked, so that no delay makes them
// live longer.
func Granted(n int, asked time.Time) Calls { return Calls{n: n, until: asked.Add(Fresh)} }

// Spend uses one of the calls up. It is false where none is left, or they were
// not used in time: then the caller has to Await one.
func (c *Calls) Spend() bool {
	if c.n == 0 || !time.Now().Before(c.until) {
		return false
	}
	c.n--
	return true
}
