package wait

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/admission"
	"github.com/zixly/sweepline/shared/job"
)

// Decision is what submit must do with a job.
type Decision int

// The decisions of Enter.
const (
	// SubmitNow: call the API now. The attempt is in charge until the record's
	// LeaseUntil, which Extend moves.
	SubmitNow Decision = iota + 1
	// FindFirst: as SubmitNow, but the sweep may already be at the API; find it first.
	FindFirst
	// Queued: the job waits for its admission. Nothing to do.
	Queued
	// Busy: another attempt is in charge; if it dies, the job is admitted again.
	// Nothing to do.
	Busy
	// Submitted: the sweep is at the API.
	Submitted
	// AlreadyEnded: the job has ended. Nothing to do.
	AlreadyEnded
)

// LossWindow is for how long after Redis came back empty a job that a client asks for
// again by its key is taken for one that may be at the API, and how long before it was
// accepted anew its sweep may have been submitted.
const LossWindow = time.Hour

// Entry is the result of Enter.
type Entry struct {
	Decision Decision
	Record   Record
	// Calls are the API calls granted with SubmitNow and FindFirst: one to submit, one
	// to find the sweep if required, and one for a health check if requested and
	// available. There may be fewer: then the caller waits for the others.
	Calls admission.Calls
	// Check: a call for a health check is among Calls.
	Check bool
}

// EnterOption changes what Enter grants.
type EnterOption int

// WithHealthCheck requests one more call, to check the API's health, if one is
// available.
const WithHealthCheck EnterOption = 1

// Enter registers a job's wait and, if the job is admitted, starts an attempt with a
// slot and the calls that a submission takes. Otherwise the job is queued. It may be
// called any number of times, concurrently: at most one attempt is in charge at a
// time. It is one atomic step.
func (w *Waits) Enter(ctx context.Context, h job.Header, options ...EnterOption) (Entry, error) {
	id, ok := pack(h.JobID)
	if !ok {
		return Entry{}, fmt.Errorf("%w: enter job: %q is not a job id", ErrUnfit, h.JobID)
	}
	header, err := encodeHeader(h)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: enter job %s: %w", ErrUnfit, h.JobID, err)
	}
	check := 0
	for _, option := range options {
		if option == WithHealthCheck {
			check = 1
		}
	}
	asked := time.Now()
	reply, err := w.run(ctx, enterScript, id, header, encodeTrace(ctx), position(h, id),
		w.cfg.QueueTimeout.Milliseconds(), w.cfg.SubmitLease.Milliseconds(), check, acceptedTTL.Milliseconds(), w.knownRedis(), LossWindow.Milliseconds()).Slice()
	if err != nil {
		return Entry{}, fmt.Errorf("enter job %s: %w", h.JobID, err)
	}
	outcome, r, err := w.decodeStep(h.JobID, reply)
	if err != nil {
		return Entry{}, fmt.Errorf("enter job %s: %w", h.JobID, err)
	}
	e := Entry{Decision: Decision(outcome), Record: r}
	if len(reply) > 5 {
		if n, _ := reply[3].(int64); n > 0 {
			e.Calls = admission.Granted(int(n), asked)
		}
		e.Check = reply[4] == int64(1)
		w.sawRedis(reply[5])
	}
	return e, nil
}

// Extend renews the attempt's lease for another SubmitLease from now. It returns false
// if the attempt is no longer in charge: it must not call the API.
func (w *Waits) Extend(ctx context.Context, r Record) (bool, error) {
	id, _ := pack(r.Header.JobID)
	return w.flag(ctx, "extend lease", extendScript, r.Header.JobID,
		id, strconv.Itoa(r.Attempt), w.cfg.SubmitLease.Milliseconds())
}

// NoteResult is the result of Note.
type NoteResult int

// The outcomes of Note.
const (
	// Noted: the wait knows its sweep. A repeat is Noted too.
	Noted NoteResult = iota + 1
	// DuplicateSweep: the wait already has another sweep. The supervisor cancels this
	// one.
	DuplicateSweep
	// Late: the wait has ended meanwhile, by an early callback or its owner. The
	// supervisor cancels a sweep that is no longer needed.
	Late
)

// Note records that the API accepted the job's sweep, and reports the success to the
// breaker of submissions. first is when to poll it for the first time, unless a
// callback ends it before.
func (w *Waits) Note(ctx context.Context, jobID, tradingJobID string, estimate, first time.Duration) (NoteResult, Record, error) {
	id, ok := pack(jobID)
	if !ok {
		return 0, Record{}, fmt.Errorf("note sweep: %w", ErrUnknown)
	}
	outcome, r, err := w.step(ctx, "note sweep", submittedScript, jobID, id,
		packTradingID(tradingJobID), estimate.Milliseconds(), first.Milliseconds(), w.cfg.CallbackTimeout.Milliseconds())
	if err != nil {
		return 0, Record{}, err
	}
	if outcome == 0 {
		return Late, r, nil
	}
	return NoteResult(outcome), r, nil
}

// RequeueReason says why an attempt is abandoned, and for how long.
type RequeueReason struct {
	// Delay is the time before the job is eligible again.
	Delay time.Duration
	// Uncertain: the sweep may still be at the API. The job keeps its slot, and the
	// next attempt looks it up before it submits.
	Uncertain bool
	// Unverifiable: the API cannot say whether it has the sweep. The lookup is retried
	// for CallbackTimeout at most; then the job times out.
	Unverifiable bool
	// Submission is the outcome of the call, for the breaker.
	Submission Report
}

// Requeue ends an attempt without a sweep: the job stays QUEUED and will be admitted
// again. It returns to its position in the queue. It has no effect if the attempt is
// no longer in charge.
func (w *Waits) Requeue(ctx context.Context, r Record, s RequeueReason) error {
	look, within := "", ""
	if s.Uncertain || s.Unverifiable {
		look = "1"
	}
	if s.Unverifiable {
		within = strconv.FormatInt(w.cfg.CallbackTimeout.Milliseconds(), 10)
	}
	id, _ := pack(r.Header.JobID)
	_, _, err := w.step(ctx, "requeue", requeueScript, r.Header.JobID, id, strconv.Itoa(r.Attempt),
		position(r.Header, id), s.Delay.Milliseconds(), look, "", s.Submission.text(), within)
	return err
}

// Reclaim requeues a wait whose attempt has lost its lease, so that the job can be
// admitted again. It returns false if the attempt is alive.
func (w *Waits) Reclaim(ctx context.Context, r Record) (bool, error) {
	id, _ := pack(r.Header.JobID)
	outcome, _, err := w.step(ctx, "reclaim", requeueScript, r.Header.JobID, id, strconv.Itoa(r.Attempt),
		position(r.Header, id), 0, "1", "1", "", "")
	return outcome == 1, err
}
