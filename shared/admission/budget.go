package admission

import (
	"context"
	"fmt"
	"time"
)

// Allow takes one call from the API's budget if no party waits for one. It returns 0,
// or the delay until one may be available. It records nothing: a caller that needs a
// call uses Await.
func (a *Admission) Allow(ctx context.Context) (time.Duration, error) {
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
// be made within Fresh. It ends with ctx. The callers of a process are one party, served
// one after the other; parties alternate with the queue and the polls, which the
// supervisor grants calls to. Redis returns when to retry: the cost is that of the calls
// that are made.
func (a *Admission) Await(ctx context.Context) error {
	if a.cfg.RequestsPerMinute == 0 {
		return nil
	}
	select {
	case a.asking <- struct{}{}:
		defer func() { <-a.asking }()
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

// Calls are API calls that were granted with an admission or a due wait and are already
// counted. They are for one goroutine.
type Calls struct {
	n     int
	until time.Time
}

// Granted is n calls that were requested at asked, by the process' monotonic clock,
// read before the request to Redis, so that no delay extends their lifetime.
func Granted(n int, asked time.Time) Calls { return Calls{n: n, until: asked.Add(Fresh)} }

// Spend uses one of the calls. It returns false if none is left or they have expired:
// then the caller must Await one.
func (c *Calls) Spend() bool {
	if c.n == 0 || !time.Now().Before(c.until) {
		return false
	}
	c.n--
	return true
}
