package wait

import (
	"context"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/telemetry"
)

// Sender sends events to the broker: sink.Sink. A nil error means that the broker has
// stored them.
type Sender interface {
	Send(ctx context.Context, events ...cloudevents.Event) error
}

// Event is the event of a wait's end. It is the same event, id and all, however
// often it is made.
func (r Record) Event(ctx context.Context) (cloudevents.Event, error) {
	var e cloudevents.Event
	var err error
	var submitted *time.Time
	if !r.StartedAt.IsZero() {
		submitted = &r.StartedAt
	}
	switch r.State {
	case Completed:
		e, err = event.NewCompleted(event.Completed{
			Header: r.Header, TradingJobID: r.TradingJobID, SweepRunID: r.SweepRunID,
			Turn: r.Submissions, SubmittedAt: submitted, CompletedAt: r.EndedAt, ExecutionSeconds: r.ExecutionSeconds, Via: r.Via,
		})
	case Failed:
		e, err = event.NewFailed(event.Failed{
			Header: r.Header, TradingJobID: r.TradingJobID, ErrorCode: r.ErrorCode,
			ErrorMessage: r.ErrorMessage, Turn: r.Submissions, SubmittedAt: submitted, FailedAt: r.EndedAt, Via: r.Via,
		})
	default:
		return e, fmt.Errorf("job %s has not ended", r.Header.JobID)
	}
	if err != nil {
		return e, err
	}
	telemetry.IntoEvent(r.Trace(ctx), &e)
	return e, nil
}

// LateEvent is the event of a late end, for the timeline.
func (r Record) LateEvent(ctx context.Context, end End) (cloudevents.Event, error) {
	var e cloudevents.Event
	var err error
	if end.Code == "" {
		e, err = event.NewCompleted(event.Completed{
			Header: r.Header, TradingJobID: end.TradingJobID, SweepRunID: end.RunID,
			CompletedAt: end.At, ExecutionSeconds: end.ExecutionSeconds, Via: end.Via, Late: true,
		})
	} else {
		e, err = event.NewFailed(event.Failed{
			Header: r.Header, TradingJobID: end.TradingJobID, ErrorCode: end.Code,
			ErrorMessage: end.Message, FailedAt: end.At, Via: end.Via, Late: true,
		})
	}
	if err != nil {
		return e, err
	}
	telemetry.IntoEvent(r.Trace(ctx), &e)
	return e, nil
}

// AdmittedEvent is the event that admits the job. It is the same event, with the same
// id, until submit starts an attempt.
func (r Record) AdmittedEvent(ctx context.Context) (cloudevents.Event, error) {
	e, err := event.NewAdmitted(event.Admitted{Header: r.Header, AdmittedAt: r.AdmittedAt, Turn: r.Admissions})
	if err != nil {
		return e, err
	}
	telemetry.IntoEvent(r.Trace(ctx), &e)
	return e, nil
}

// Conclude performs the pending actions of an ended wait that need no API call: it
// sends the event. An error means that actions are left, which the supervisor will
// perform: the event may not be stored. Completed actions are removed in batches a
// moment later; if the process dies before, the supervisor sends the event again,
// which the broker drops as a duplicate.
func (w *Waits) Conclude(ctx context.Context, r Record, s Sender) error {
	return w.Announce(ctx, Resolution{Record: r}, s)
}

// Announce is Conclude for the end that Resolve just wrote: with its event it sends
// those of the jobs that were admitted in the same step. If that fails, the supervisor
// sends the admissions after AdmissionTimeout.
func (w *Waits) Announce(ctx context.Context, res Resolution, s Sender) error {
	r := res.Record
	var events []cloudevents.Event
	var done Actions
	if r.Actions.Has(ActionEvent) && !w.alreadyDone(r, ActionEvent) {
		e, err := r.Event(ctx)
		if err != nil {
			return err
		}
		events, done = append(events, e), done+ActionEvent
	}
	if r.Actions.Has(ActionLate) && !w.alreadyDone(r, ActionLate) {
		if r.Late != nil {
			e, err := r.LateEvent(ctx, *r.Late)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		done += ActionLate
	}
	for _, next := range res.admitted {
		e, err := next.AdmittedEvent(next.Trace(ctx))
		if err != nil {
			return err
		}
		events = append(events, e)
	}
	if len(events) > 0 {
		if err := s.Send(ctx, events...); err != nil {
			return err
		}
	}
	if done.Has(ActionEvent) {
		r.recordWait(ctx)
	}
	for _, next := range res.admitted {
		next.RecordAdmission(next.Trace(ctx))
	}
	w.markDone(r, done)
	return nil
}
