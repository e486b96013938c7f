package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

// Attributes that a broker puts on what it gives up (Knative, Event Delivery).
const (
	extErrorDest = "knativeerrordest"
	extErrorCode = "knativeerrorcode"
)

// isDeadLetter knows dead letters by their attributes and not by the path that
// they are posted to, so that any URI of this function may be the sink.
func isDeadLetter(e cloudevents.Event) bool {
	x := e.Extensions()
	return x[extErrorDest] != nil || x[extErrorCode] != nil
}

// bury ends the job whose event nobody could be made to take: no job stays open
// for ever. Events after which nothing is open any more are taken and left to
// the broker's list of dead letters.
func (f *Function) bury(ctx context.Context, e cloudevents.Event) error {
	switch e.Type() {
	case event.SweepRequested, event.SweepAdmitted, event.SweepSubmitted, event.SweepCompleted, event.SweepCollected:
	default:
		return nil
	}
	d, err := event.Data[event.Completed](e) // the header and Late, where there is one
	if err == nil && !job.ValidID(d.JobID) {
		err = errors.New("the event names no job")
	}
	if err != nil {
		return cehttp.NewResult(http.StatusUnprocessableEntity, "%w", err)
	}
	if d.Late {
		return nil
	}
	end := wait.End{
		Code: job.Undeliverable, Message: fmt.Sprintf("%s could not be delivered", e.Type()), Via: event.ViaDeadLetter,
		// Completed as the wait may be, its results were never stored.
		Overturn: e.Type() == event.SweepCompleted || e.Type() == event.SweepCollected, At: f.waits.Now(),
	}
	slog.ErrorContext(ctx, "Event undeliverable", "job_id", d.JobID, "tenant_id", d.TenantID, "event_id", e.ID(), "event_type", e.Type())
	res, err := f.waits.Resolve(ctx, d.JobID, end)
	switch {
	case errors.Is(err, wait.ErrUnknown):
		return f.buryUnknown(ctx, d.Header, end, e)
	case err != nil:
		return err
	case !res.Won && !res.Record.Chores.Has(wait.ChoreEvent):
		return nil
	}
	// A sweep that is still running is cancelled when the chore comes due.
	return f.waits.Conclude(ctx, res.Record, f.sink)
}

// buryUnknown ends a job that has no record: the event has all that is needed.
func (f *Function) buryUnknown(ctx context.Context, h job.Header, end wait.End, cause cloudevents.Event) error {
	e, err := event.NewFailed(event.Failed{
		Header: h, ErrorCode: end.Code, ErrorMessage: end.Message, FailedAt: end.At, Via: end.Via,
	})
	if err != nil {
		return cehttp.NewResult(http.StatusUnprocessableEntity, "%w", err)
	}
	telemetry.IntoEvent(ctx, &e)
	event.CopyTrace(cause, &e)
	return f.sink.Send(ctx, e)
}
