package runner

import (
	"context"
	"fmt"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/telemetry"
)

// sender posts events to the broker.
type sender interface {
	Send(ctx context.Context, events ...cloudevents.Event) error
}

// takeUpBatch is how many events are sent at once.
const takeUpBatch = 50

// takeUp sends again what an embedded Redis has forgotten: the request of every
// job that has not ended, and the end of every job of which nobody was told.
// All steps take repeats, so it may run at every start.
func takeUp(ctx context.Context, l ledger.Ledger, to sender) (jobs int, err error) {
	unfinished, err := l.Unfinished(ctx)
	if err != nil {
		return 0, fmt.Errorf("find unfinished jobs: %w", err)
	}
	unannounced, err := l.Unannounced(ctx)
	if err != nil {
		return 0, fmt.Errorf("find jobs that nobody was told of: %w", err)
	}
	var events []cloudevents.Event
	for _, h := range unfinished {
		e, err := event.NewRequested(event.Requested{Header: h})
		if err != nil {
			return 0, fmt.Errorf("take up job %s: %w", h.JobID, err)
		}
		telemetry.IntoEvent(telemetry.Start(ctx), &e) // the old one went with its wait record
		events = append(events, e)
	}
	for _, j := range unannounced {
		e, err := event.NewFinished(j)
		if err != nil {
			return 0, fmt.Errorf("announce job %s: %w", j.JobID, err)
		}
		events = append(events, e)
	}
	for len(events) > 0 {
		n := min(takeUpBatch, len(events))
		if err := to.Send(ctx, events[:n]...); err != nil {
			return 0, fmt.Errorf("send what was unfinished: %w", err)
		}
		events = events[n:]
	}
	return len(unfinished) + len(unannounced), nil
}

// journal writes each request, and each word that somebody was told, into the
// ledger before the broker answers 202 for it: an embedded Redis forgets its
// streams with the process, and takeUp can only bring back, or leave alone, what
// the ledger knows.
func journal(l ledger.Ledger) func(context.Context, []cloudevents.Event) error {
	return func(ctx context.Context, events []cloudevents.Event) error {
		var keep []cloudevents.Event
		for _, e := range events {
			if e.Type() == event.SweepRequested || e.Type() == event.JobNotified {
				keep = append(keep, e)
			}
		}
		if len(keep) == 0 {
			return nil
		}
		return ledger.Errors(l.Apply(ctx, keep...))
	}
}
