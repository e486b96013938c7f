// Package ledger is the pipeline's memory in SQL: jobs, their timeline and the
// rows of their sweeps. The function store writes it from events, status reads
// it. It is a projection: everything in it comes from events, which may arrive
// twice, late and out of order, and the ledger comes out the same.
//
// There are two implementations, ledger/postgres and ledger/sqlite, held to one
// behaviour by ledger/ledgertest.
package ledger

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
	// ErrUnreadable: an event that can never be written down, however often it
	// is delivered: foreign type, broken data, an id that is not its job's.
	ErrUnreadable = errors.New("unreadable event")
	// ErrCursor: a page's cursor that Jobs did not hand out.
	ErrCursor = errors.New("invalid cursor")
)

// Ledger is what both implementations do. Every method puts its own deadline
// under ctx; every error other than those above means that the database could
// not answer and the call is worth repeating. All methods may be called from
// many goroutines.
type Ledger interface {
	// Apply writes events down in one transaction: all or none. Each new event
	// id adds one line to its job's timeline, and each event, since it carries
	// its job's header, creates the job if it is not known. States only move
	// forward, and a terminal state never changes. SweepCompleted moves a job
	// to RUNNING only, because its rows are still to be fetched: Finish ends
	// it. Events marked Late touch the timeline alone.
	//
	// The error is ErrUnreadable if any of the events is; then none is written.
	Apply(ctx context.Context, events ...cloudevents.Event) error

	// Finish ends a job by its SweepCompleted or SweepFailed, in one
	// transaction: state, rows, metrics, the event's timeline line and that of
	// the JobCompleted or JobFailed that follows from it. The first end wins; a
	// repeat or a second end changes nothing and returns the job as it ended.
	Finish(ctx context.Context, e cloudevents.Event, o Outcome) (Finished, error)

	// Job returns one job with its ten best rows, or ErrNotFound.
	Job(ctx context.Context, tenant, id string) (job.Job, error)

	// Jobs returns a page of jobs, newest first, without their rows.
	Jobs(ctx context.Context, tenant string, q Query) (Page, error)

	// Counts returns how many jobs stand in each state, zeros included, under
	// the filters of q other than Status; Limit and Cursor mean nothing here.
	Counts(ctx context.Context, tenant string, q Query) (map[job.State]int, error)

	// Timeline returns a job's events by time, or ErrNotFound.
	Timeline(ctx context.Context, tenant, id string) ([]job.TimelineEvent, error)

	// Results yields all rows of a job; none for an unknown job. Rows are read
	// in chunks, so a slow reader holds no connection. An error ends it.
	Results(ctx context.Context, tenant, id string, by Order) iter.Seq2[job.Row, error]

	// Rows returns one page of a job's rows in any order, never nil; none for an
	// unknown job. It is for people: whoever wants all rows takes Results.
	Rows(ctx context.Context, tenant, id string, q RowQuery) ([]job.Row, error)

	// Unfinished returns every job that has not ended, of all tenants, oldest
	// first. Whoever lost its queue (the embedded broker, at start) takes them
	// up again.
	Unfinished(ctx context.Context) ([]job.Header, error)

	// Unannounced returns every ended job of which no JobNotified was seen, of
	// all tenants, oldest first, with its ten best rows.
	Unannounced(ctx context.Context) ([]job.Job, error)

	// Ping reports whether the database answers and its schema is in place.
	Ping(ctx context.Context) error

	// Close waits for calls under way and frees all connections.
	Close() error
}

// Outcome is what Finish adds to the event that ended a job.
type Outcome struct {
	// Rows are all rows of a completed sweep, in any order. Finish writes them
	// as Clean leaves them, the first of each parameter set.
	Rows []job.Row
	// Metrics are stored as they are.
	Metrics job.Metrics
	// Failure, if set, ends the job as FAILED although its sweep completed:
	// the results cannot be had.
	Failure *Failure
}

// Failure says why a job is FAILED.
type Failure struct {
	Code    job.ErrorCode
	Message string
}

// Finished is what Finish left behind.
type Finished struct {
	// Job is the ended job, with its ten best rows.
	Job job.Job
	// First is true for the one call that ended the job.
	First bool
}
