package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/wait"
)

// admitBatch is how many jobs are admitted in one step.
const admitBatch = 32

// admit admits jobs and grants calls, as many as there are, and returns when there
// will be more. Waits that get nothing are not read.
func (f *Function) admit(ctx context.Context) (time.Duration, error) {
	for {
		d, err := f.admitOnce(ctx)
		switch {
		case err != nil:
			return 0, err
		case len(d.Admitted) == admitBatch:
		case d.Again > 0:
			return d.Again, nil
		default:
			return f.cfg.Tick, nil
		}
	}
}

func (f *Function) admitOnce(ctx context.Context) (wait.Grants, error) {
	free := f.calls.free()
	d, err := f.waits.AdmitNext(ctx, admitBatch, free, f.cfg.Lease)
	if err != nil {
		return d, err
	}
	f.calls.short.Store(len(d.Calls) == free)
	for _, c := range d.Calls {
		f.calls.start(func() { f.call(c.Record.Trace(ctx), c) })
	}
	return d, f.sendAdmissions(ctx, d.Admitted)
}

// sendAdmissions sends the events that admit jobs. An admission whose event could not
// be sent comes due again.
func (f *Function) sendAdmissions(ctx context.Context, admitted []wait.Record) error {
	events := make([]cloudevents.Event, 0, len(admitted))
	for _, r := range admitted {
		e, err := r.AdmittedEvent(r.Trace(ctx))
		if err != nil {
			slog.ErrorContext(ctx, "building admission event failed", "job_id", r.Header.JobID, "error", err)
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
	for _, r := range admitted {
		r.RecordAdmission(ctx)
	}
	return nil
}
