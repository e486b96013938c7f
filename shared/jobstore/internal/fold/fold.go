// Package fold reads pipeline events into what the store's databases write:
// one change and at most one end for each job, one line for each event. The
// rules of what an event means stand here once, for both databases.
package fold

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// Change is what events say about one job short of its end. Merging two
// changes, here or in SQL, gives the same in any order.
type Change struct {
	Header job.Header
	// Status is QUEUED or RUNNING, the least that the job has reached.
	Status       job.State
	Attempts     int
	TradingJobID string
	StartedAt    *time.Time
}

// End is how an event ends its job, if it has not ended.
type End struct {
	Status      job.State
	SweepRunID  string
	CompletedAt time.Time
	Failure     jobstore.Failure
	// Best are the best rows, and Metrics is set, where Status is COMPLETED.
	Best    []job.Row
	Metrics job.Metrics
}

// Line is one line of a timeline.
type Line struct {
	ID, JobID, TenantID string
	Type                string
	Time                time.Time
	Attempt             int
	Error               string
	// Data is the event's data as JSON, without fields that its type lacks.
	Data string
	// AllNotified says that it is the notification after which nobody was left to be notified.
	AllNotified bool
}

// longestTenant bounds a tenant's name, and with it an index entry.
const longestTenant = 200

// longestID bounds an event's id: a job's id and a step.
const longestID = 200

// longestCode bounds an error code.
const longestCode = 64

// Item is one event as it is stored.
type Item struct {
	Change Change
	Line   Line
	// End is nil for an event that ends no job.
	End *End
}

// One reads one event. The error is ErrUnreadable.
func One(e cloudevents.Event) (Item, error) {
	x, err := read(e)
	if err == nil {
		err = x.complete(e)
	}
	if err != nil {
		return Item{}, fmt.Errorf("%w: %w", jobstore.ErrUnreadable, err)
	}
	return x, nil
}

// complete checks what read has found and fills what all types have in common.
func (x *Item) complete(e cloudevents.Event) error {
	c, l := &x.Change, &x.Line
	l.ID, l.JobID, l.TenantID, l.Type, l.Time = e.ID(), c.Header.JobID, c.Header.TenantID, e.Type(), e.Time()
	if l.Time.IsZero() {
		l.Time = c.Header.CreatedAt
	}
	if err := check(e, c.Header); err != nil {
		return err
	}
	times := map[string]*time.Time{"created_at": &c.Header.CreatedAt, "time": &l.Time, "submitted_at": c.StartedAt}
	if x.End != nil {
		if x.End.CompletedAt.IsZero() {
			x.End.CompletedAt = l.Time
		}
		times["completed_at"] = &x.End.CompletedAt
	}
	for name, t := range times {
		if t == nil {
			continue
		}
		if *t = micro(*t); t.Year() < 1970 || t.Year() > 9999 {
			return fmt.Errorf("event %s: %s is out of range", e.ID(), name)
		}
	}
	return nil
}

// read says what each type of event means.
func read(e cloudevents.Event) (Item, error) {
	switch e.Type() {
	case event.SweepRequested:
		return of(e, func(d *event.Requested, x *Item) {
			x.Change.Header = d.Header
		})
	case event.SweepAdmitted:
		return of(e, func(d *event.Admitted, x *Item) {
			x.Change.Header, x.Line.Attempt = d.Header, turn(d.Turn)
		})
	case event.SweepSubmitted:
		return of(e, func(d *event.Submitted, x *Item) {
			c := &x.Change
			c.Header, c.Status = d.Header, job.Running
			c.Attempts, x.Line.Attempt = turn(d.Turn), turn(d.Turn)
			c.TradingJobID = jobstore.Text(d.TradingJobID, longestID)
			c.StartedAt = when(d.SubmittedAt)
		})
	case event.SweepCompleted:
		return of(e, func(d *event.Completed, x *Item) {
			x.Change.Header = d.Header
			if d.Late {
				return
			}
			// The run's id is written with the end: most of the time this event
			// says nothing else that is new, and the job need not be written.
			x.Change.running(d.TradingJobID, d.Turn, d.SubmittedAt)
		})
	case event.SweepCollected:
		return of(e, func(d *event.Collected, x *Item) {
			x.Change.Header = d.Header
			x.Change.running(d.TradingJobID, d.Turn, d.SubmittedAt)
			m := job.Metrics{Combinations: max(d.Rows, 0), BestScore: jobstore.Figure(d.BestScore), Synthetic: d.Synthetic, Data: jobstore.CleanData(d.Data)}
			if s := d.ExecutionSeconds; s > 0 && !math.IsInf(s, 0) {
				m.ExecutionSeconds = s
			}
			x.End = &End{Status: job.Completed, SweepRunID: jobstore.Text(d.SweepRunID, longestID), CompletedAt: d.CompletedAt, Best: jobstore.Best(jobstore.CleanAll(d.Best)), Metrics: m}
			d.Data = m.Data
			d.Best = nil // they are kept with the job, not twice
		})
	case event.SweepFailed:
		return of(e, func(d *event.Failed, x *Item) {
			x.Change.Header = d.Header
			x.Line.Error = jobstore.Message(d.ErrorMessage)
			if d.Late {
				return
			}
			x.Change.running(d.TradingJobID, d.Turn, d.SubmittedAt)
			x.End = &End{Status: job.Failed, SweepRunID: jobstore.Text(d.SweepRunID, longestID), CompletedAt: d.FailedAt, Failure: jobstore.Failure{
				Code: errorCode(d.ErrorCode), Message: x.Line.Error,
			}}
		})
	case event.JobCompleted, event.JobFailed:
		return of(e, func(d *event.Finished, x *Item) {
			x.Change.Header = d.Job.Header()
			x.Line.Error = jobstore.Message(d.Job.ErrorMessage)
		})
	case event.JobNotified:
		return of(e, func(d *event.Notified, x *Item) {
			x.Change.Header = d.Header
			x.Line.AllNotified = d.Left == 0
			x.Line.Error = jobstore.Message(d.Error)
		})
	}
	return Item{}, fmt.Errorf("event %s has unexpected type %s", e.ID(), e.Type())
}

// errorCode keeps a code that could be one of ours, of this version or a later one.
func errorCode(c job.ErrorCode) job.ErrorCode {
	for _, r := range c {
		if (r < 'a' || r > 'z') && r != '_' {
			return job.SweepFailed
		}
	}
	if len(c) > longestCode {
		return job.SweepFailed
	}
	return c
}

// turn is a count that fits a column; events from before turns count as one.
func turn(n int) int { return max(1, min(n, math.MaxInt32)) }

// of decodes the data of e, lets fill say what it means, and keeps it for the
// timeline in the form that our own types give it: no unknown members, nothing
// that cannot be read back.
func of[D interface{ Tenant() string }](e cloudevents.Event, fill func(*D, *Item)) (Item, error) {
	d, err := event.Data[D](e)
	if err != nil {
		return Item{}, err
	}
	x := Item{Change: Change{Status: job.Queued}}
	fill(&d, &x)
	data, err := json.Marshal(d)
	if err != nil {
		return Item{}, fmt.Errorf("encode data of %s: %w", e.ID(), err)
	}
	x.Line.Data = string(data)
	return x, nil
}

// check refuses what must not become a row: the databases would refuse it for
// ever, or it would reach into another job.
func check(e cloudevents.Event, h job.Header) error {
	switch {
	case !job.ValidID(h.JobID):
		return fmt.Errorf("event %s has no valid job id", e.ID())
	case !strings.HasPrefix(e.ID(), h.JobID+"/") || e.ID() != jobstore.Text(e.ID(), longestID):
		return fmt.Errorf("event id %q does not belong to job %s", jobstore.Text(e.ID(), longestID), h.JobID)
	case h.TenantID == "" || h.TenantID != jobstore.Text(h.TenantID, longestTenant):
		return fmt.Errorf("event %s has an invalid tenant", e.ID())
	case h.JobType != job.Type:
		return fmt.Errorf("event %s has an unexpected job type", e.ID())
	case h.RetryOf != "" && !job.ValidID(h.RetryOf):
		return fmt.Errorf("event %s has an invalid retry_of", e.ID())
	case h.GroupID != "" && !job.ValidID(h.GroupID):
		return fmt.Errorf("event %s has an invalid group_id", e.ID())
	case !job.ValidLabels(h.Labels):
		return fmt.Errorf("event %s has invalid labels", e.ID())
	case h.NotifyURL != "" && !job.ValidNotifyURL(h.NotifyURL):
		return fmt.Errorf("event %s has an invalid notify_url", e.ID())
	}
	if err := h.Parameters.Validate(); err != nil {
		return fmt.Errorf("event %s: parameters: %w", e.ID(), err)
	}
	return nil
}

// merge adds d, of the same job, to c.
func (c *Change) merge(d Change) {
	if d.Status == job.Running {
		c.Status = job.Running
	}
	if d.TradingJobID != "" && (c.TradingJobID == "" || d.Attempts >= c.Attempts) {
		c.TradingJobID = d.TradingJobID
	}
	c.Attempts = max(c.Attempts, d.Attempts)
	c.StartedAt = earlier(c.StartedAt, d.StartedAt)
}

// running takes from an end that there was a sweep, and since when.
func (c *Change) running(tradingJob string, n int, at *time.Time) {
	c.Status, c.TradingJobID = job.Running, jobstore.Text(tradingJob, longestID)
	if at != nil {
		c.StartedAt, c.Attempts = when(*at), turn(n)
	}
}

func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

// when is nil where there is no time.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// micro cuts to microseconds, PostgreSQL's finest.
func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
