package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

// Attributes that a broker adds to dead letters (Knative, Event Delivery). No seal covers
// them; what they are believed for is that the event came to function.DeadLetterPath.
const (
	extErrorDest = "knativeerrordest"
	extErrorCode = "knativeerrorcode"
	extErrorData = "knativeerrordata"
)

// deadLetter is why an event could not be delivered.
type deadLetter struct {
	// step is the name of the function that did not accept it; empty if the address
	// is none of ours.
	step string
	// absent: the subscriber was unreachable until the event expired. Otherwise it
	// refused the event at every attempt.
	absent bool
	// unread: the subscriber, or what stands before it, did not believe or admit the
	// sender, and has not looked at the event. A step answers so whose seal keys are
	// others than ours, as in the midst of their change.
	unread bool
}

// deadLetterOf reads the broker's attributes. A step's name is the first part of
// its path or of its host, as in http://store.sweepline.svc.cluster.local.
func deadLetterOf(e cloudevents.Event) deadLetter {
	var o deadLetter
	x := e.Extensions()
	dest, _ := x[extErrorDest].(string)
	if u, err := url.Parse(dest); err == nil {
		path, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		host, _, _ := strings.Cut(u.Hostname(), ".")
		for _, name := range []string{path, host} {
			switch name {
			case "submit", "collect", "store", "notify", "supervise":
				if o.step == "" {
					o.step = name
				}
			}
		}
	}
	code, err := strconv.Atoi(fmt.Sprint(x[extErrorCode]))
	switch code {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		o.absent = true
	case http.StatusUnauthorized, http.StatusForbidden:
		o.unread = true
	default:
		o.absent = err != nil // no answer, no code
	}
	return o
}

// handleDeadLetter handles an event whose Trigger gave up delivery, so that its job
// still ends. The broker posts it to this function, the pipeline's dead letter sink, and
// keeps it until it is answered with success. It changes the wait record only; the reconciler sends the end until the
// job store has it.
//
//	requested   a job that submit never accepted fails as undeliverable
//	admitted    so does a queued job whose admission was not delivered
//	submitted   no action: the end of the job carries all its data to the store
//	completed,  refused: the job fails, its results cannot be collected.
//	collected   Subscriber absent: the event is resent
//	failed      refused: the reconciler resends it until the store has the end.
//	            Subscriber absent: the event is resent
//	job.*       no action: the job has ended. The dead letter is kept for a redrive
//	late ends   no action: they are for the timeline
//
// What was not read is left to the reconciler, where there is one: it sends the event
// again until the step has it.
func (f *Function) handleDeadLetter(ctx context.Context, e cloudevents.Event) error {
	letter := deadLetterOf(e)
	if letter.step == "supervise" { // its job metrics were to be counted here
		return f.metrics.count(e)
	}
	switch e.Type() {
	case event.SweepRequested, event.SweepAdmitted, event.SweepSubmitted, event.SweepCompleted, event.SweepFailed, event.SweepCollected:
	default:
		slog.WarnContext(ctx, "event undeliverable", "event_id", e.ID(), "event_type", e.Type(), "at", letter.step)
		return nil
	}
	d, err := event.Data[event.Completed](e) // the header and Late, where there is one
	if err == nil && !job.ValidID(d.JobID) {
		err = errors.New("event has no valid job id")
	}
	if err != nil {
		return cehttp.NewResult(http.StatusUnprocessableEntity, "%w", err)
	}
	if err := f.ofTenant(ctx, d.Header); err != nil {
		return err
	}
	slog.ErrorContext(ctx, "event undeliverable", "job_id", d.JobID, "tenant_id", d.TenantID, "event_id", e.ID(),
		"event_type", e.Type(), "at", letter.step, "absent", letter.absent, "unread", letter.unread)
	switch {
	case d.Late:
		return nil
	case letter.unread && f.reconciler != nil:
		return nil
	case e.Type() == event.SweepRequested, e.Type() == event.SweepAdmitted:
		if letter.step == "store" {
			return nil
		}
		return f.failUnsubmitted(ctx, d.Header, e)
	case e.Type() == event.SweepSubmitted:
		return nil
	case letter.absent:
		return f.resend(ctx, d.Header, e)
	case e.Type() == event.SweepFailed:
		return nil
	default:
		return f.failUncollected(ctx, d.Header, e)
	}
}

// ofTenant returns why a dead letter of h may not end its job, if it is another
// tenant's. The job store looks for itself.
func (f *Function) ofTenant(ctx context.Context, h job.Header) error {
	r, err := f.waits.Get(ctx, h.JobID)
	switch {
	case errors.Is(err, wait.ErrUnknown):
		return nil
	case err != nil:
		return err
	case r.Header.TenantID != h.TenantID:
		return cehttp.NewResult(http.StatusUnprocessableEntity, "the job is of another tenant")
	}
	return nil
}

// undeliverable is the end of a job whose event could not be delivered.
func (f *Function) undeliverable(e cloudevents.Event) wait.End {
	return wait.End{
		Code: job.Undeliverable, Message: fmt.Sprintf("%s could not be delivered", e.Type()), Via: event.ViaDeadLetter, At: f.waits.Now(),
	}
}

// failUnsubmitted fails a job that was to be submitted, if its state has not changed
// since the event. A job that submit has started is handled by its wait record.
func (f *Function) failUnsubmitted(ctx context.Context, h job.Header, e cloudevents.Event) error {
	r, err := f.waits.Get(ctx, h.JobID)
	switch {
	case errors.Is(err, wait.ErrUnknown):
		if known, err := f.findLost(ctx, h.JobID); known || err != nil {
			return err
		}
		return f.failUnknown(ctx, h, e)
	case err != nil:
		return err
	case r.State == wait.Accepted, r.State == wait.Parked && e.Type() == event.SweepAdmitted:
		return f.failJob(ctx, h, e, f.undeliverable(e))
	}
	return nil
}

// failUncollected fails a job whose results cannot be collected. Its wait may be
// completed, but the results were never stored.
func (f *Function) failUncollected(ctx context.Context, h job.Header, e cloudevents.Event) error {
	if f.endStored(ctx, h.JobID) {
		return nil
	}
	end := f.undeliverable(e)
	end.Supersede = true
	return f.failJob(ctx, h, e, end)
}

// failJob ends a job and sends the event. If store is what fails, the reconciler
// resends it.
func (f *Function) failJob(ctx context.Context, h job.Header, e cloudevents.Event, end wait.End) error {
	res, err := f.waits.Resolve(ctx, h.JobID, end)
	switch {
	case errors.Is(err, wait.ErrUnknown):
		return f.failUnknown(ctx, h, e)
	case err != nil:
		return err
	case !res.Won && !res.Record.Actions.Has(wait.ActionEvent):
		return nil
	}
	// A running sweep is cancelled when the pending action comes due.
	return f.waits.Conclude(ctx, res.Record, f.sink)
}

// endStored reports whether the job store has the job's end. It returns false if the
// job store does not answer: that may be why the event was not delivered.
func (f *Function) endStored(ctx context.Context, jobID string) bool {
	if f.reconciler == nil {
		return false
	}
	known, err := f.reconciler.jobStore.Lookup(ctx, []string{jobID})
	if err != nil {
		slog.WarnContext(ctx, "job store lookup failed, assuming that the end is not stored", "job_id", jobID, "error", err)
		return false
	}
	return len(known) > 0 && known[0].Status.Terminal()
}

// findLost reports whether the job store knows a job that has no record. One that
// is open has a record then, and needs nothing more.
func (f *Function) findLost(ctx context.Context, jobID string) (bool, error) {
	if f.reconciler == nil {
		return false, nil
	}
	_, err := f.reconciler.lost.Find(ctx, jobID)
	if errors.Is(err, jobstore.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// failUnknown fails a job that neither Redis nor the job store knows: the event has all
// the data.
func (f *Function) failUnknown(ctx context.Context, h job.Header, cause cloudevents.Event) error {
	end := f.undeliverable(cause)
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

// resend sends an expired end event again, under the next repetition id, unless the job
// store has the end.
func (f *Function) resend(ctx context.Context, h job.Header, e cloudevents.Event) error {
	if f.endStored(ctx, h.JobID) {
		return nil
	}
	_, n := event.Original(e.ID())
	e = event.Again(e, n+1)
	for _, name := range []string{extErrorDest, extErrorCode, extErrorData} {
		e.SetExtension(name, nil)
	}
	if err := f.sink.Send(ctx, e); err != nil {
		return fmt.Errorf("send %s: %w", e.ID(), err)
	}
	slog.InfoContext(ctx, "event resent", "job_id", h.JobID, "event_id", e.ID())
	return nil
}
