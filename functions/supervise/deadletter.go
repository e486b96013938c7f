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

// Attributes that a broker puts on what it gives up (Knative, Event Delivery).
const (
	extErrorDest = "knativeerrordest"
	extErrorCode = "knativeerrorcode"
	extErrorData = "knativeerrordata"
)

// isDeadLetter knows dead letters by their attributes and not by the path that
// they are posted to, so that any URI of this function may be the sink.
func isDeadLetter(e cloudevents.Event) bool {
	x := e.Extensions()
	return x[extErrorDest] != nil || x[extErrorCode] != nil
}

// obituary is what a dead letter says of how the event letter.
type deadLetter struct {
	// step is the function that did not take it, by its name; empty where the
	// address is of no step of ours.
	step string
	// absent: nobody was there to take it, until it was too old. Otherwise it was
	// refused, as often as the broker tries.
	absent bool
}

// obituaryOf reads the broker's attributes. A step's name is the first part of
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
	default:
		o.absent = err != nil // no answer, no code
	}
	return o
}

// bury does what must follow from an event that its Trigger gave up, so that its
// job ends all the same. Nothing that it does depends on the step at which the
// event letter: what it says goes to the wait record, and the reconciler sees to
// it that the job store learns of that.
//
//	requested   a job that submit never took fails as undeliverable
//	admitted    a job in line that never got its turn, too
//	submitted   nothing: the end of the job tells the store all of it
//	completed,  refused, the job fails: its results cannot be had. Nobody there:
//	collected   the event is sent again
//	failed      refused, the reconciler sends it again by and by, until the store
//	            has the end. Nobody there: it is sent again
//	job.*       nothing: the job has ended. The letter is kept to be redriven
//	late ends   nothing: they are for the timeline
func (f *Function) handleDeadLetter(ctx context.Context, e cloudevents.Event) error {
	letter := deadLetterOf(e)
	if letter.step == "supervise" { // what was to be counted here
		return f.metrics.count(e)
	}
	switch e.Type() {
	case event.SweepRequested, event.SweepAdmitted, event.SweepSubmitted, event.SweepCompleted, event.SweepFailed, event.SweepCollected:
	default:
		slog.WarnContext(ctx, "Event undeliverable", "event_id", e.ID(), "event_type", e.Type(), "at", letter.step)
		return nil
	}
	d, err := event.Data[event.Completed](e) // the header and Late, where there is one
	if err == nil && !job.ValidID(d.JobID) {
		err = errors.New("the event names no job")
	}
	if err != nil {
		return cehttp.NewResult(http.StatusUnprocessableEntity, "%w", err)
	}
	slog.ErrorContext(ctx, "Event undeliverable", "job_id", d.JobID, "tenant_id", d.TenantID, "event_id", e.ID(),
		"event_type", e.Type(), "at", letter.step, "absent", letter.absent)
	switch {
	case d.Late:
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

// undeliverable is the end of a job whose event letter.
func (f *Function) undeliverable(e cloudevents.Event) wait.End {
	return wait.End{
		Code: job.Undeliverable, Message: fmt.Sprintf("%s could not be delivered", e.Type()), Via: event.ViaDeadLetter, At: f.waits.Now(),
	}
}

// buryTurn ends a job that was to be submitted, if it still stands where the
// event left it. One that submit has taken is the supervisor's, by its record.
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

// overturn ends a job whose results nobody takes. Completed as its wait may be,
// they were never stored.
func (f *Function) failUncollected(ctx context.Context, h job.Header, e cloudevents.Event) error {
	if f.endStored(ctx, h.JobID) {
		return nil
	}
	end := f.undeliverable(e)
	end.Supersede = true
	return f.failJob(ctx, h, e, end)
}

// endBuried ends a job and tells of it. Should store be what does not work, the
// reconciler tells again.
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
	// A sweep that is still running is cancelled when the chore comes due.
	return f.waits.Conclude(ctx, res.Record, f.sink)
}

// settled reports whether the job store has the job's end. A job store that does not
// answer has not: it may well be what the event letter of.
func (f *Function) endStored(ctx context.Context, jobID string) bool {
	if f.reconciler == nil {
		return false
	}
	known, err := f.reconciler.jobStore.Lookup(ctx, []string{jobID})
	if err != nil {
		slog.WarnContext(ctx, "job store not asked for a dead event's job", "job_id", jobID, "error", err)
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

// buryUnknown ends a job of which nothing is known: the event has all that is
// needed.
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

// sendAgain sends an end again that has letter of old age, unless the job store has
// it. It may live as long again.
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
	slog.InfoContext(ctx, "Event sent again", "job_id", h.JobID, "event_id", e.ID())
	return nil
}
