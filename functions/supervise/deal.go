package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/wait"
)

// atOnce is how many turns are dealt in one step.
const atOnce = 32

// deal gives out turns and calls, as many as there are, and returns when there
// will be others. Who gets none is not looked at.
func (f *Function) deal(ctx context.Context) (time.Duration, error) {
	for {
		d, err := f.dealOnce(ctx)
		switch {
		case err != nil:
			return 0, err
		case len(d.Turns) == atOnce:
		case d.Again > 0:
			return d.Again, nil
		default:
			return f.cfg.Tick, nil
		}
	}
}

func (f *Function) dealOnce(ctx context.Context) (wait.Deal, error) {
	free := f.calls.free()
	d, err := f.waits.Deal(ctx, atOnce, free, f.cfg.Lease)
	if err != nil {
		return d, err
	}
	f.calls.short.Store(len(d.Calls) == free)
	for _, c := range d.Calls {
		f.calls.start(func() { f.call(c.Record.Trace(ctx), c) })
	}
	return d, f.tellTurns(ctx, d.Turns)
}

// tellTurns sends the events that give jobs their turn. A turn that is not told of
// for want of a broker comes due again.
func (f *Function) tellTurns(ctx context.Context, turns []wait.Record) error {
	events := make([]cloudevents.Event, 0, len(turns))
	for _, r := range turns {
		e, err := r.AdmittedEvent(r.Trace(ctx))
		if err != nil {
			slog.ErrorContext(ctx, "Turn not told of", "job_id", r.Header.JobID, "error", err)
			continue
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		return nil
	}
	if err := f.sink.Send(ctx, events...); err != nil {
		return fmt.Errorf("admit %d jobs: %w", len(events), err)
	}
	for _, r := range turns {
		r.TellTurn(ctx)
	}
	return nil
}
