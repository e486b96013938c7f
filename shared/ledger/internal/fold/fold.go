// Package fold reads pipeline events into what the ledger's databases write:
// one change for each job, one line for each event. The rules of what an event
// means stand here once, for both databases.
package fold

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

// Change is what events say about one job. Merging two changes, here or in SQL,
// gives the same in any order.
type Change struct {
	Header job.Header
	// Status is the least state that the job has reached; never COMPLETED,
	// which takes rows.
	Status       job.State
	Attempts     int
	TradingJobID string
	SweepRunID   string
	StartedAt    *time.Time
	CompletedAt  *time.Time
	Failure      *ledger.Failure
	AnnouncedAt  *time.Time
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
}

// longestTenant bounds a tenant's name, and with it an index entry.
const longestTenant = 200

// longestID bounds an event's id: a job's id and a step.
const longestID = 200

// longestCode bounds an error code.
const longestCode = 64

// Events reads a batch. Changes come one for each job, sorted by its id, so that
// two writers lock in the same order; lines come one for each event id, in the
// order of the events. The error is ErrUnreadable.
func Events(events []cloudevents.Event) ([]Change, []Line, error) {
	changes := map[string]*Change{}
	lines := make([]Line, 0, len(events))
	seen := map[string]bool{}
	for _, e := range events {
		c, l, err := One(e)
		if err != nil {
			return nil, nil, err
		}
		if seen[l.ID] {
			continue
		}
		seen[l.ID] = true
		lines = append(lines, l)
		// The tenant is part of the key: an event that names a foreign job
		// must not be merged with that job's own.
		key := l.JobID + l.TenantID
		if have, ok := changes[key]; ok {
			have.merge(c)
		} else {
			changes[key] = &c
		}
	}
	out := make([]Change, 0, len(changes))
	for _, c := range changes {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Change) int {
		return cmp.Or(strings.Compare(a.Header.JobID, b.Header.JobID), strings.Compare(a.Header.TenantID, b.Header.TenantID))
	})
	return out, lines, nil
}

// One reads one event.
func One(e cloudevents.Event) (Change, Line, error) {
	c, l, err := read(e)
	if err == nil {
		err = check(e, c.Header)
	}
	if err != nil {
		return Change{}, Line{}, fmt.Errorf("%w: %w", ledger.ErrUnreadable, err)
	}
	c.Header.CreatedAt = micro(c.Header.CreatedAt)
	l.ID, l.JobID, l.TenantID, l.Type = e.ID(), c.Header.JobID, c.Header.TenantID, e.Type()
	l.Time = micro(e.Time())
	if e.Time().IsZero() {
		l.Time = c.Header.CreatedAt
	}
	return c, l, nil
}

// read says what each type of event means.
func read(e cloudevents.Event) (Change, Line, error) {
	switch e.Type() {
	case event.SweepRequested:
		return of(e, func(d event.Requested, c *Change, _ *Line) {
			c.Header = d.Header
		})
	case event.SweepAdmitted:
		return of(e, func(d event.Admitted, c *Change, l *Line) {
			c.Header, l.Attempt = d.Header, turn(d.Turn)
		})
	case event.SweepSubmitted:
		return of(e, func(d event.Submitted, c *Change, l *Line) {
			c.Header, c.Status = d.Header, job.Running
			c.Attempts, l.Attempt = turn(d.Turn), turn(d.Turn)
			c.TradingJobID = ledger.Text(d.TradingJobID, longestID)
			c.StartedAt = when(d.SubmittedAt)
		})
	case event.SweepCompleted:
		return of(e, func(d event.Completed, c *Change, _ *Line) {
			c.Header = d.Header
			if d.Late {
				return
			}
			c.Status = job.Running
			c.TradingJobID = ledger.Text(d.TradingJobID, longestID)
			c.SweepRunID = ledger.Text(d.SweepRunID, longestID)
			c.submitted(d.Turn, d.SubmittedAt)
		})
	case event.SweepFailed:
		return of(e, func(d event.Failed, c *Change, l *Line) {
			c.Header = d.Header
			l.Error = ledger.Message(d.ErrorMessage)
			if d.Late {
				return
			}
			c.Status = job.Failed
			c.TradingJobID = ledger.Text(d.TradingJobID, longestID)
			c.CompletedAt = when(d.FailedAt)
			c.submitted(d.Turn, d.SubmittedAt)
			c.Failure = &ledger.Failure{Code: job.ErrorCode(ledger.Text(string(d.ErrorCode), longestCode)), Message: l.Error}
		})
	case event.JobCompleted, event.JobFailed:
		return of(e, func(d event.Finished, c *Change, l *Line) {
			j := d.Job
			c.Header = job.Header{JobID: j.JobID, TenantID: j.TenantID, JobType: j.JobType, Parameters: j.Parameters, CreatedAt: j.CreatedAt, RetryOf: j.RetryOf}
			l.Error = ledger.Message(j.ErrorMessage)
		})
	case event.JobNotified:
		return of(e, func(d event.Notified, c *Change, _ *Line) {
			c.Header = d.Header
			c.AnnouncedAt = when(d.NotifiedAt)
		})
	}
	return Change{}, Line{}, fmt.Errorf("event %s has the foreign type %s", e.ID(), e.Type())
}

// turn is a count that fits a column; events from before turns count as one.
func turn(n int) int { return max(1, min(n, math.MaxInt32)) }

// of decodes the data of e, lets fill say what it means, and keeps it for the
// timeline in the form that our own types give it: no unknown members, nothing
// that cannot be read back.
func of[D any](e cloudevents.Event, fill func(D, *Change, *Line)) (Change, Line, error) {
	d, err := event.Data[D](e)
	if err != nil {
		return Change{}, Line{}, err
	}
	c, l := Change{Status: job.Queued}, Line{}
	fill(d, &c, &l)
	data, err := json.Marshal(d)
	if err != nil {
		return Change{}, Line{}, fmt.Errorf("encode data of %s: %w", e.ID(), err)
	}
	l.Data = string(data)
	return c, l, nil
}

// check refuses what must not become a row: the databases would refuse it for
// ever, or it would reach into another job.
func check(e cloudevents.Event, h job.Header) error {
	switch {
	case !job.ValidID(h.JobID):
		return fmt.Errorf("event %s names no job", e.ID())
	case !strings.HasPrefix(e.ID(), h.JobID+"/") || e.ID() != ledger.Text(e.ID(), longestID):
		return fmt.Errorf("event id %q is not of job %s", ledger.Text(e.ID(), longestID), h.JobID)
	case h.TenantID == "" || h.TenantID != ledger.Text(h.TenantID, longestTenant):
		return fmt.Errorf("event %s has no usable tenant", e.ID())
	case h.JobType != job.Type:
		return fmt.Errorf("event %s is of a foreign job type", e.ID())
	case h.RetryOf != "" && !job.ValidID(h.RetryOf):
		return fmt.Errorf("event %s repeats no job", e.ID())
	case h.CreatedAt.Year() < 1970 || h.CreatedAt.Year() > 9999:
		return fmt.Errorf("event %s has no creation time", e.ID())
	}
	if err := h.Parameters.Validate(); err != nil {
		return fmt.Errorf("event %s: parameters: %w", e.ID(), err)
	}
	return nil
}

// merge adds d, of the same job, to c.
func (c *Change) merge(d Change) {
	if rank(d.Status) > rank(c.Status) {
		c.Status = d.Status
	}
	if c.Failure == nil {
		c.Failure, c.CompletedAt = d.Failure, cmp.Or(c.CompletedAt, d.CompletedAt)
	}
	if d.TradingJobID != "" && (c.TradingJobID == "" || d.Attempts >= c.Attempts) {
		c.TradingJobID = d.TradingJobID
	}
	c.Attempts = max(c.Attempts, d.Attempts)
	c.SweepRunID = cmp.Or(c.SweepRunID, d.SweepRunID)
	c.StartedAt = earlier(c.StartedAt, d.StartedAt)
	c.AnnouncedAt = earlier(c.AnnouncedAt, d.AnnouncedAt)
}

// submitted takes from an end that there was a sweep, and since when.
func (c *Change) submitted(n int, at *time.Time) {
	if at != nil {
		c.StartedAt, c.Attempts = when(*at), turn(n)
	}
}

func rank(s job.State) int {
	return slices.Index([]job.State{job.Queued, job.Running, job.Failed}, s)
}

func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

// when is t as the databases keep it; nil where there is none.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = micro(t)
	return &t
}

// micro cuts to microseconds, PostgreSQL's finest.
func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
