package wait

import (
	"context"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/telemetry"
)

// Sender is the way to the broker: sink.Sink. nil means that the broker keeps
// the events.
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

// LateEvent is the event of an end that came after another: for the timeline.
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

// AdmittedEvent is the event that gives the job its turn. It is the same event, id
// and all, until the turn is taken up.
func (r Record) AdmittedEvent(ctx context.Context) (cloudevents.Event, error) {
	e, err := event.NewAdmitted(event.Admitted{Header: r.Header, AdmittedAt: r.AdmittedAt, Turn: r.Admissions})
	if err != nil {
		return e, err
	}
	telemetry.IntoEvent(r.Trace(ctx), &e)
	return e, nil
}

// Conclude does the chores of an ended wait that need no API: it sends the event.
// An error means that chores are left, which the supervisor will do: the event is
// not stored for certain. That a chore is done is written down a moment later,
// together with others; should the process die before, the supervisor sends the
// event once more, which the broker takes for the repeat it is.
func (w *Waits) Conclude(ctx context.Context, r Record, s Sender) error {
	return w.Announce(ctx, Resolution{Record: r}, s)
}

// Tell is Conclude for an end that was just written down: with its event it sends
// those of the turns that were dealt in the same step. Where that fails the turns
// are told of by the supervisor, after TurnTimeout.
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
	for _, turn := range res.admitted {
		e, err := turn.AdmittedEvent(turn.Trace(ctx))
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
	for _, turn := range res.admitted {
		turn.RecordAdmission(turn.Trace(ctx))
	}
	w.markDone(r, done)
	return nil
}
