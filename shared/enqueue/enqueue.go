// Package enqueue takes a job in: it writes the job's first record, so that the
// job can be read at once and two equal keys make one job, and then hands
// sweep.requested to the broker. Receive takes in what clients ask for, status
// what they want repeated.
package enqueue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/quota"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

// ErrConflict: the key was used before, for another sweep.
var ErrConflict = errors.New("idempotency key was used for another sweep")

// records is where a job's first record is kept: shared/wait.
type records interface {
	Key(ctx context.Context, tenant, key, candidate string) (string, error)
	Accept(ctx context.Context, h job.Header, fingerprint string, shares ...wait.Shares) (wait.Acceptance, error)
	MarkRefused(ctx context.Context, jobID string) error
}

// sender is the way to the broker: sink.Sink.
type sender interface {
	Send(ctx context.Context, events ...cloudevents.Event) error
}

// Enqueuer takes jobs in. It is safe for concurrent use.
type Enqueuer struct {
	records records
	sink    sender
	now     func() time.Time
}

// New refuses missing dependencies and does no I/O.
func New(r records, s sender, now func() time.Time) (*Enqueuer, error) {
	if r == nil || s == nil || now == nil {
		return nil, errors.New("enqueue: records, sink and clock are required")
	}
	return &Enqueuer{records: r, sink: s, now: now}, nil
}

// Request asks for a job.
type Request struct {
	Tenant string
	// Key makes the request repeatable: the same tenant and key name the same
	// job for 24 hours. Without one every request is a new job.
	Key   string
	Sweep job.Sweep
	// Labels are the owner's words for the job, sorted.
	Labels []string
	// NotifyURL is the address that is called when the job has ended, if any. The caller has
	// checked it.
	NotifyURL string
	// RetryOf names the job that this one repeats, if any, and GroupID that one's group.
	RetryOf, GroupID string
	// Shares are what the door knows of the tenants: Keys.Shares.
	Shares wait.Shares
}

// openRetry is when a tenant with all its jobs queued may ask again.
const openRetry = 30 * time.Second

// Accepted is a job that was accepted.
type Accepted struct {
	// Header is the job as it was first stored.
	Header job.Header
	// Replayed says that the key was known: nothing new was made.
	Replayed bool
}

// Enqueue returns once the broker keeps the event, so the job will run whatever
// happens here. It is ErrConflict for a key that stands for another sweep; any
// other error means that the record or the broker could not be reached and the
// request is worth repeating, with its key best. It is a quota.Exceeded where the
// tenant has as many jobs open as it may.
//
// A replay sends the event again: the first try may have died between the
// record and the broker. The broker drops the repeat by its id.
func (i *Enqueuer) Enqueue(ctx context.Context, r Request) (Accepted, error) {
	h, err := i.header(ctx, r)
	if err != nil {
		return Accepted{}, err
	}
	print, err := fingerprint(r, nil)
	if err != nil {
		return Accepted{}, err
	}
	a, err := i.accept(ctx, h, print, r.Shares)
	if err != nil {
		return Accepted{}, err
	}
	e, err := event.NewRequested(event.Requested{Header: a.Header})
	if err != nil {
		return Accepted{}, fmt.Errorf("accept job %s: %w", a.Header.JobID, err)
	}
	telemetry.IntoEvent(ctx, &e)
	if err := i.sink.Send(ctx, e); err != nil {
		if refused(err) && !a.Replayed {
			i.markRefused(ctx, a.Header.JobID)
		}
		return Accepted{}, fmt.Errorf("accept job %s: %w", a.Header.JobID, err)
	}
	return Accepted{Header: a.Header, Replayed: a.Replayed}, nil
}

// header is that of a request's job, or of the first one of its group.
func (i *Enqueuer) header(ctx context.Context, r Request) (job.Header, error) {
	h := job.Header{
		JobID: job.NewID(), TenantID: r.Tenant, JobType: job.Type, Parameters: r.Sweep,
		CreatedAt: i.now().UTC().Truncate(time.Millisecond), RetryOf: r.RetryOf, GroupID: r.GroupID, Labels: r.Labels, NotifyURL: r.NotifyURL,
	}
	if r.Key == "" {
		return h, nil
	}
	var err error
	h.JobID, err = i.records.Key(ctx, r.Tenant, r.Key, job.DeriveID(r.Tenant, r.Key, h.CreatedAt))
	return h, err
}

// accept writes a job's first record.
func (i *Enqueuer) accept(ctx context.Context, h job.Header, print string, shares wait.Shares) (wait.Acceptance, error) {
	a, err := i.records.Accept(ctx, h, print, shares)
	switch {
	case err != nil:
		return a, fmt.Errorf("accept job: %w", err) // the record names the job
	case a.Conflict:
		return a, ErrConflict
	case a.Full:
		return a, &quota.Exceeded{What: "open jobs", Limit: shares.MostQueued, RetryAfter: openRetry}
	}
	return a, nil
}

// markRefusedTimeout bounds marking the record, which only avoids an unneeded sweep.
const markRefusedTimeout = time.Second

// refused reports whether the broker said that it does not keep the event.
// Without its word (500, a proxy's 502 or 504, no answer) the event may be
// stored, and the job may run.
func refused(err error) bool {
	var no *sink.Refused
	return errors.As(err, &no) && (no.Status < http.StatusInternalServerError || no.Status == http.StatusServiceUnavailable)
}

// markRefused keeps the supervisor from sending the event of a job whose client is
// about to receive an error. If that fails the job may run although its client was
// told to retry. All of them are marked within markRefusedTimeout.
func (i *Enqueuer) markRefused(ctx context.Context, jobIDs ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markRefusedTimeout)
	defer cancel()
	for _, id := range jobIDs {
		if err := i.records.MarkRefused(ctx, id); err != nil {
			slog.WarnContext(ctx, "marking refused job failed", "job_id", id, "error", err)
			return // one Redis keeps them all
		}
	}
}

// fingerprint is equal for requests that ask for the same: it is made of the
// parsed sweep, so that spaces, order and defaults do not count.
func fingerprint(r Request, tickers []string) (string, error) {
	text, err := json.Marshal(struct {
		Sweep   job.Sweep
		RetryOf string
		// Without these it is what it was before there were any: keys are known for a day.
		Labels    []string `json:",omitempty"`
		Tickers   []string `json:",omitempty"`
		NotifyURL string   `json:",omitempty"`
	}{r.Sweep, r.RetryOf, r.Labels, tickers, r.NotifyURL})
	if err != nil {
		return "", fmt.Errorf("fingerprint sweep: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}
