package runner

import (
	"context"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/seal"
)

// journal writes each request and each sent notification into the
// job store before the broker answers 202 for it: an embedded Redis forgets its
// streams with the process, and resume only knows
// what is in the job store. Events of strangers are left to the steps to refuse.
func journal(l jobstore.Store, seals *seal.Keys) func(context.Context, []cloudevents.Event) error {
	return func(ctx context.Context, events []cloudevents.Event) error {
		var keep []cloudevents.Event
		for _, e := range events {
			if (e.Type() == event.SweepRequested || e.Type() == event.JobNotified) && seals.Check(&e) == nil {
				keep = append(keep, e)
			}
		}
		if len(keep) == 0 {
			return nil
		}
		return jobstore.Errors(l.Apply(ctx, keep...))
	}
}
