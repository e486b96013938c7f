package fold

import (
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

// End is how a job is to end, if it has not ended.
type End struct {
	// Change creates the job where it is unknown; it is not terminal.
	Change Change
	// Line is the timeline line of the event.
	Line        Line
	Status      job.State
	CompletedAt time.Time
	Failure     ledger.Failure
	// Rows are cleaned, the best first.
	Rows    []job.Row
	Metrics job.Metrics
}

// Finish reads the event that ends a job. The error is ErrUnreadable.
func Finish(e cloudevents.Event, o ledger.Outcome) (End, error) {
	c, l, err := One(e)
	if err != nil {
		return End{}, err
	}
	end := End{Change: c, Line: l, CompletedAt: l.Time, Metrics: o.Metrics}
	switch {
	case c.Status == job.Failed:
		end.Status, end.Failure = job.Failed, *c.Failure
		if c.CompletedAt != nil {
			end.CompletedAt = *c.CompletedAt
		}
	case e.Type() == event.SweepCompleted && c.Status == job.Running && o.Failure != nil:
		end.Status = job.Failed
		end.Failure = ledger.Failure{Code: o.Failure.Code, Message: ledger.Message(o.Failure.Message)}
	case e.Type() == event.SweepCompleted && c.Status == job.Running:
		end.Status, end.Rows = job.Completed, ledger.CleanAll(o.Rows)
	default:
		return End{}, fmt.Errorf("%w: %s ends no job", ledger.ErrUnreadable, e.ID())
	}
	end.Change.Status, end.Change.Failure, end.Change.CompletedAt = job.Running, nil, nil
	if d, err := event.Data[event.Completed](e); err == nil && e.Type() == event.SweepCompleted && !d.CompletedAt.IsZero() {
		end.CompletedAt = micro(d.CompletedAt)
	}
	return end, nil
}

// Announcement is the timeline line of the event that tells of an ended job.
func Announcement(j job.Job) (Line, error) {
	e, err := event.NewFinished(j)
	if err != nil {
		return Line{}, err
	}
	_, l, err := One(e)
	return l, err
}
