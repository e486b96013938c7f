package fold

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// Batch is what one statement writes.
type Batch struct {
	// Changes come one for each job, sorted by its id, so that two writers lock
	// in the same order.
	Changes []Change
	// Ends come one for each job that ends: by the first of its ends in the
	// order of the events. Sorted by the job's id.
	Ends []Ending
	// Lines come one for each event id, in the order of the events.
	Lines []Line
}

// AllNotified returns the jobs of whose end an event says that all were notified; never
// nil.
func (b Batch) AllNotified() []string {
	ids := []string{}
	for _, l := range b.Lines {
		if l.AllNotified {
			ids = append(ids, l.JobID)
		}
	}
	return ids
}

// Ending is the end of one job.
type Ending struct {
	Header job.Header
	// At is the time of the event, and of the line that announces the end.
	At Line
	End
}

// Stored is how a database left the job of an Ending.
type Stored struct {
	Job job.Job
	// First: the batch ended it.
	First bool
}

// Written is what a database did with a batch. Its maps go by Key.
type Written struct {
	// Ended holds the jobs of all Ends. A job that is missing belongs to another
	// tenant.
	Ended map[string]Stored
	// Foreign holds the jobs that belong to another tenant than the batch says.
	Foreign map[string]bool
}

// Key names a job as its events do: an event that names another tenant's job
// must not be taken for one of that tenant's.
func Key(jobID, tenantID string) string { return jobID + tenantID }

// ErrRefused is wrapped by a Writer where the database refuses the values of a
// batch: each part of it may still be storable.
var ErrRefused = errors.New("value refused")

// Writer writes a batch in one statement or transaction, all or nothing.
type Writer func(context.Context, Batch) (Written, error)

// entry is an item and where its event stands in the call.
type entry struct {
	Item
	at int
}

// Apply reads events and writes them by w. Where the database refuses the
// values of a batch it is halved until the events that are refused stand alone.
func Apply(ctx context.Context, events []cloudevents.Event, w Writer) []jobstore.Applied {
	out := make([]jobstore.Applied, len(events))
	entries := make([]entry, 0, len(events))
	for i, e := range events {
		x, err := One(e)
		if err != nil {
			out[i].Err = err
			continue
		}
		entries = append(entries, entry{x, i})
	}
	write(ctx, entries, w, out)
	return out
}

func write(ctx context.Context, entries []entry, w Writer, out []jobstore.Applied) {
	if len(entries) == 0 {
		return
	}
	b, winners := merge(entries)
	done, err := w(ctx, b)
	switch {
	case errors.Is(err, ErrRefused) && len(entries) > 1:
		half := len(entries) / 2
		write(ctx, entries[:half], w, out)
		write(ctx, entries[half:], w, out)
	case errors.Is(err, ErrRefused):
		x := entries[0]
		out[x.at].Err = fmt.Errorf("%w: event %s: %w", jobstore.ErrUnreadable, x.Line.ID, err)
	case err != nil:
		err = fmt.Errorf("write %d events: %w", len(entries), err)
		for _, x := range entries {
			out[x.at].Err = err
		}
	default:
		for _, x := range entries {
			out[x.at] = done.applied(x, winners[x.key()] == x.at)
		}
	}
}

func (x entry) key() string { return Key(x.Line.JobID, x.Line.TenantID) }

// applied is what became of one event of a batch that was written.
func (w Written) applied(x entry, winner bool) jobstore.Applied {
	stored, ended := w.Ended[x.key()]
	switch {
	case w.Foreign[x.key()], x.End != nil && !ended:
		return jobstore.Applied{Err: fmt.Errorf("%w: event %s: job belongs to another tenant", jobstore.ErrUnreadable, x.Line.ID)}
	case x.End == nil:
		return jobstore.Applied{}
	}
	stored.Job.NotifyURL = cmp.Or(stored.Job.NotifyURL, x.Change.Header.NotifyURL) // a database may have yet to write it
	return jobstore.Applied{Job: &stored.Job, First: stored.First && winner}
}

// merge makes one batch of entries. winners says by which event each job ends.
func merge(entries []entry) (b Batch, winners map[string]int) {
	changes := make(map[string]*Change, len(entries))
	var ends []*Ending
	winners = map[string]int{}
	seen := make(map[string]bool, len(entries))
	for _, x := range entries {
		if seen[x.Line.ID] {
			continue
		}
		seen[x.Line.ID] = true
		b.Lines = append(b.Lines, x.Line)
		key := x.key()
		if have, ok := changes[key]; ok {
			have.merge(x.Change)
		} else {
			c := x.Change
			changes[key] = &c
		}
		if _, ended := winners[key]; x.End != nil && !ended {
			winners[key] = x.at
			ends = append(ends, &Ending{Header: x.Change.Header, At: x.Line, End: *x.End})
		}
	}
	// In one order of jobs, so that batches of two processes do not lock each other out.
	b.Changes, b.Ends = make([]Change, 0, len(changes)), make([]Ending, 0, len(ends))
	for _, c := range slices.SortedFunc(maps.Values(changes), func(a, b *Change) int { return byJob(&a.Header, &b.Header) }) {
		b.Changes = append(b.Changes, *c)
	}
	for _, e := range slices.SortedFunc(slices.Values(ends), func(a, b *Ending) int { return byJob(&a.Header, &b.Header) }) {
		b.Ends = append(b.Ends, *e)
	}
	return b, winners
}

func byJob(a, b *job.Header) int {
	return cmp.Or(strings.Compare(a.JobID, b.JobID), strings.Compare(a.TenantID, b.TenantID))
}
