// Package jobstore is the pipeline's memory in SQL: jobs, their timeline and the
// rows of their sweeps. The function store writes it from events, api, dashboard
// and notify read it. It is a projection: everything in it comes from events, which may arrive
// twice, late and out of order, and the job store comes out the same.
//
// There are two implementations, jobstore/postgres and jobstore/sqlite, held to one
// behaviour by jobstore/jobstoretest.
package jobstore

import (
	"context"
	"errors"
	"iter"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/job"
)

var (
	// ErrNotFound: the tenant has no such job.
	ErrNotFound = errors.New("job not found")
	// ErrUnreadable: an event that can never be stored, however often it is
	// delivered: foreign type, invalid data, an id that is not its job's, a value
	// that the database refuses.
	ErrUnreadable = errors.New("unreadable event")
	// ErrUnavailable: the database cannot be reached, is shutting down, starting,
	// read-only, full or busy. The same call succeeds later.
	ErrUnavailable = errors.New("database unavailable")
	// ErrUnusable: the database refuses us, or its schema is not the one this build
	// needs and cannot be brought there: foreign tables, missing rights, a newer
	// version. It takes a person.
	ErrUnusable = errors.New("database unusable")
	// ErrCursor: a page's cursor that Jobs did not hand out.
	ErrCursor = errors.New("invalid cursor")
)

// Store is what both implementations do. Every method puts its own deadline
// under ctx. An error that is none of those above is unexpected; the call may
// be repeated. All methods may be called from many goroutines.
type Store interface {
	// Apply stores events in one statement, with those of other calls that are
	// made while one is under way, and returns one Applied for each, in
	// their order; they may be of any jobs, and come in any order and any number
	// of times. Each new event id adds one line to its job's timeline, and each
	// event, since it carries its job's header, creates the job if it is not
	// known. States only move forward, and a terminal state never changes:
	// SweepCollected and SweepFailed end a job, and the first of them wins.
	// Events marked Late touch the timeline alone.
	//
	// An event that cannot be stored costs only itself: its Err is ErrUnreadable.
	// Where the database fails, Err is set for all events it concerns, and none
	// of them is stored.
	Apply(ctx context.Context, events ...cloudevents.Event) []Applied

	// Collect stores pages of result rows, with those of other calls, and returns
	// how far each page's collection is afterwards. A page is stored if its
	// collection stands at ResultPage.From; one that does not continue its
	// collection, or whose job has ended, is left out. Rows are written as Clean
	// leaves them, the first of each parameter set. After an error some pages may
	// be stored; the call may be repeated.
	Collect(ctx context.Context, pages ...ResultPage) ([]Collection, error)

	// Collections returns how far the rows of each job are stored; the zero
	// Collection for a job of which nothing is known.
	Collections(ctx context.Context, jobs ...job.Header) ([]Collection, error)

	// CollectFailed counts an attempt to read the next page that failed for a
	// reason that lies in the page, and returns how many have since the last page
	// that was stored.
	CollectFailed(ctx context.Context, h job.Header, runID string) (failures int, err error)

	// Assess stores what is computed of all rows of a job together, once they are stored
	// and before the job ends; a job that has ended is left as it is. It is stored in
	// parts: after an error some may be. The call may be repeated.
	Assess(ctx context.Context, h job.Header, a Assessment) error

	// Surface returns what Assess has stored of a job; nil where that is nothing.
	Surface(ctx context.Context, tenant, id string) ([]byte, error)

	// Summary sums up the rows that are stored for a job.
	Summary(ctx context.Context, tenant, id string) (Summary, error)

	// Job returns one job with its ten best rows, or ErrNotFound.
	Job(ctx context.Context, tenant, id string) (job.Job, error)

	// Jobs returns a page of jobs, sorted as q says, without their rows.
	Jobs(ctx context.Context, tenant string, q Query) (Page, error)

	// Retries returns the jobs that repeat each of these, oldest first; jobs without
	// any are left out. It tells of MaxRetries of them at most, the latest.
	Retries(ctx context.Context, tenant string, ids []string) (map[string][]string, error)

	// Counts returns how many jobs stand in each state, as people are told it
	// (Job.Shown), zeros included, under the filters of q other than Status; Limit and Cursor mean nothing here.
	Counts(ctx context.Context, tenant string, q Query) (map[job.State]int, error)

	// Activity counts a tenant's jobs by the interval in which they were created, and tells
	// how long they took: one Interval for each of in. It looks at every job of them all.
	Activity(ctx context.Context, tenant string, in Intervals) ([]Interval, error)

	// Timeline returns a job's events by time, or ErrNotFound.
	Timeline(ctx context.Context, tenant, id string) ([]job.TimelineEvent, error)

	// Results yields the rows of a job that q asks for; none for an unknown job. They are
	// sorted once and read in chunks, so a slow reader holds no connection, and what many
	// rows take does not depend on their order. An error ends it.
	Results(ctx context.Context, tenant, id string, q RowQuery) iter.Seq2[job.Row, error]

	// Rows returns one page of a job's rows, never nil; none for an unknown job.
	// Whoever wants more takes Results.
	Rows(ctx context.Context, tenant, id string, q RowQuery) ([]job.Row, error)

	// CountRows returns how many of a job's rows meet the conditions of q.
	CountRows(ctx context.Context, tenant, id string, q RowQuery) (int, error)

	Survey

	// Ping reports whether the database answers and its schema is in place.
	Ping(ctx context.Context) error

	// Start brings the schema up to date. It returns ErrUnusable where that can
	// never succeed, and ErrUnavailable where the database is not there now: then
	// it is tried again before the next call.
	Start(ctx context.Context) error

	// Close waits for calls under way and frees all connections.
	Close() error
}

// Applied is what became of one event.
type Applied struct {
	// Job is the ended job with its ten best rows, where the event ends a job:
	// as this event ended it, or as an earlier one has. Nil otherwise.
	Job *job.Job
	// First is true for the one event that ended the job.
	First bool
	// Err is why the event is not stored.
	Err error
}

// Errors joins the errors of all events, nil if all are stored.
func Errors(applied []Applied) error {
	var errs []error
	for _, a := range applied {
		errs = append(errs, a.Err)
	}
	return errors.Join(errs...)
}

// Failure says why a job is FAILED.
type Failure struct {
	Code    job.ErrorCode
	Message string
}
