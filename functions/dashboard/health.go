package dashboard

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// healthTimeout is how long a page waits for one part to answer.
const healthTimeout = 2 * time.Second

// health is whether one part answers.
type health struct {
	Name string
	// What says what it is for.
	What  string
	OK    bool
	Delay time.Duration
}

// health asks all parts at once.
func (f *Function) health(ctx context.Context) []health {
	parts := []health{
		{Name: "Redis", What: "streams, waits, slots"},
		{Name: "Job store", What: "jobs, results, timelines"},
	}
	asks := []func(context.Context) error{f.jobs.Waits.Ping, f.jobs.Store.Ping}
	if ask := f.askTrading(); ask != nil {
		parts = append(parts, health{Name: "Trading API", What: "runs the sweeps"})
		asks = append(asks, ask)
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for i, ask := range asks {
		wg.Go(func() {
			begun := time.Now()
			err := ask(ctx)
			parts[i].OK, parts[i].Delay = err == nil, time.Since(begun)
			if !parts[i].OK {
				slog.WarnContext(ctx, "health check failed", "part", parts[i].Name, "error", err)
			}
		})
	}
	wg.Wait()
	return parts
}

// askTrading asks the trading API whether it answers; nil where nobody can.
func (f *Function) askTrading() func(context.Context) error {
	if f.Trading == nil {
		return nil
	}
	return func(ctx context.Context) error {
		if err := f.Trading.Health(ctx); !trading.Unasked(err) {
			return err
		}
		return nil // a budget of calls that is used up says nothing of the API
	}
}

// slotsView is how full the trading API is of our sweeps.
type slotsView struct {
	wait.Counts
	// Most is the number of slots; 0 means no limit.
	Most int
}

// slotsInUse is nil where nobody can tell, and for those who do not operate the
// broker: the slots are everybody's, so they tell how much others run.
func (f *Function) slotsInUse(ctx context.Context) *slotsView {
	if f.jobs.Slots == nil || !f.jobs.Operates(ctx) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	n, err := f.jobs.Slots.Count(ctx)
	if err != nil {
		slog.WarnContext(ctx, "counting slots failed", "error", err)
		return nil
	}
	return &slotsView{Counts: n, Most: f.jobs.Slots.Config().MaxConcurrent}
}
