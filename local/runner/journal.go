package runner

import (
	"context"
	"errors"
	"log/slog"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/readable"
	"github.com/zixly/sweepline/shared/seal"
)

// journal writes each request and each sent notification into the
// job store before the broker answers 202 for it: an embedded Redis forgets its
// streams with the process, and resume can only bring back, or leave alone, what
// the job store knows. Events of strangers are left to the steps to refuse. What can
// never be written is not waited for: it goes its way, which ends among the dead
// letters. A notification that is written is no longer unfinished.
func journal(l jobstore.Store, seals *seal.Keys, unfinished *sending, log *slog.Logger) func(context.Context, []cloudevents.Event) error {
	return func(ctx context.Context, events []cloudevents.Event) error {
		var keep []cloudevents.Event
		for _, e := range events {
			if journalled(e) && seals.Check(&e) == nil {
				keep = append(keep, e)
			}
		}
		if len(keep) == 0 {
			return nil
		}
		applied := l.Apply(ctx, keep...)
		for i, a := range applied {
			if errors.Is(a.Err, jobstore.ErrUnreadable) {
				log.WarnContext(ctx, "event not journalled", "event_id", keep[i].ID(), "event_type", keep[i].Type(), "error", a.Err)
				applied[i].Err = nil
			}
			if a.Err != nil {
				continue
			}
			if err := unfinished.stored(keep[i]); err != nil { // the file says what is true, and is removed once it is old
				log.WarnContext(ctx, "removing the file of a stored notification failed", "event_id", keep[i].ID(), "error", err)
			}
		}
		return jobstore.Errors(applied)
	}
}

func journalled(e cloudevents.Event) bool {
	return e.Type() == event.SweepRequested || e.Type() == event.JobNotified
}

// checkJournalled says why an event that would be journalled can never be.
func checkJournalled(e cloudevents.Event) error {
	if !journalled(e) {
		return nil
	}
	return readable.Check(e)
}
