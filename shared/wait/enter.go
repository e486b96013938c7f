package wait

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/admission"
	"github.com/zixly/sweepline/shared/job"
)

// Verdict is what submit has to do with a job.
type Decision int

// The verdicts of Enter.
const (
	// Go: call the API now. The attempt is in charge until the record's
	// LeaseUntil, which Extend moves.
	SubmitNow Decision = iota + 1
	// Look: as Go, but the sweep may be at the API already; look for it first.
	FindFirst
	// InLine: the job waits for its turn and will be given one. Nothing to do.
	Queued
	// Busy: another attempt is in charge; should it die, the job is given
	// another turn. Nothing to do.
	Busy
	// Submitted: the sweep is at the API.
	Submitted
	// Over: the job has ended. Nothing to do.
	AlreadyEnded
)

// Entry is the answer of Enter.
type Entry struct {
	Decision Decision
	Record  Record
	// Calls are the calls to the API that were dealt with Go and Look: one to
	// submit, one to look where that is asked for, and one to check the API's
	// health where that was wished for and there was one. There may be fewer: then
	// the others have to be waited for.
	Calls admission.Calls
	// Check: a call for a health check is among Calls.
	Check bool
}

// Wish is what Enter may be asked for.
type EnterOption int

// WantCheck asks for one call more, to check the API's health. It is not waited
// for.
const WithHealthCheck EnterOption = 1

// Enter registers a job's wait and, with the job's turn, gives the right to call
// the API: a slot, the calls that a submission takes, and charge of the attempt.
// Who has no turn is put in line. It may be called any number of times, by
// anybody, at any moment: at most one attempt is told to Go at a time. It is one
// step, so a crash leaves it done or not.
func (w *Waits) Enter(ctx context.Context, h job.Header, enterOptions ...EnterOption) (Entry, error) {
	id, ok := pack(h.JobID)
	if !ok {
		return Entry{}, fmt.Errorf("enter job: %q is not a job id", h.JobID)
	}
	header, err := encodeHeader(h)
	if err != nil {
		return Entry{}, fmt.Errorf("enter job %s: %w", h.JobID, err)
	}
	check := 0
	for _, wish := range enterOptions {
		if wish == WithHealthCheck {
			check = 1
		}
	}
	asked := time.Now()
	reply, err := w.run(ctx, enterScript, id, header, encodeTrace(ctx), position(h, id),
		w.cfg.QueueTimeout.Milliseconds(), w.cfg.SubmitLease.Milliseconds(), check, acceptedTTL.Milliseconds()).Slice()
	if err != nil {
		return Entry{}, fmt.Errorf("enter job %s: %w", h.JobID, err)
	}
	outcome, r, err := w.decodeStep(h.JobID, reply)
	if err != nil {
		return Entry{}, fmt.Errorf("enter job %s: %w", h.JobID, err)
	}
	e := Entry{Decision: Decision(outcome), Record: r}
	if len(reply) > 3 {
		n, _ := reply[3].(int64)
		e.Calls = admission.Granted(int(n), asked)
		e.Check = len(reply) > 4 && reply[4] == int64(1)
	}
	return e, nil
}

// Extend keeps an attempt in charge for another SubmitLease from now. It is
// false where the attempt is not in charge any more: it must not call the API.
func (w *Waits) Extend(ctx context.Context, r Record) (bool, error) {
	id, _ := pack(r.Header.JobID)
	return w.flag(ctx, "extend lease", extendScript, r.Header.JobID,
		id, strconv.Itoa(r.Attempt), w.cfg.SubmitLease.Milliseconds())
}

// Landing is what Note found.
type NoteResult int

// The outcomes of Note.
const (
	// Noted: the wait knows its sweep. A repeat is Noted too.
	Noted NoteResult = iota + 1
	// Extra: the wait already has another sweep. This one is one too many, and
	// the supervisor cancels it.
	DuplicateSweep
	// Late: the wait has ended meanwhile: an early callback, or its owner. A
	// sweep that nobody wants any more has become the supervisor's chore.
	Late
)

// Note writes down that the API took the job's sweep, which also tells that the
// API takes submissions. first is when to poll it for the first time, unless a
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

// Setback says why and for how long an attempt gives up.
type RequeueReason struct {
	// Delay is the time before the job is eligible again.
	Delay time.Duration
	// Uncertain: the sweep may be at the API all the same. The job keeps its
	// slot, and the next attempt looks before it calls.
	Uncertain bool
	// Untold: the API cannot tell whether it has the sweep. That is asked for
	// CallbackTimeout at most; then the job times out.
	Unverifiable bool
	// Submission tells how the API answered.
	Submission Report
}

// PutBack ends an attempt that brought no sweep: the job is QUEUED on and will
// be given another turn. It goes back to the place that it had in line. Where the
// attempt is not in charge any more, nothing happens.
func (w *Waits) Requeue(ctx context.Context, r Record, s RequeueReason) error {
	look, within := "", ""
	if s.Uncertain || s.Unverifiable {
		look = "1"
	}
	if s.Unverifiable {
		within = strconv.FormatInt(w.cfg.CallbackTimeout.Milliseconds(), 10)
	}
	id, _ := pack(r.Header.JobID)
	_, _, err := w.step(ctx, "put back", requeueScript, r.Header.JobID, id, strconv.Itoa(r.Attempt),
		position(r.Header, id), s.Delay.Milliseconds(), look, "", s.Submission.text(), within)
	return err
}

// Reclaim takes a wait from an attempt whose lease has run out, so that the job
// can be given another turn. It is false where the attempt is alive.
func (w *Waits) Reclaim(ctx context.Context, r Record) (bool, error) {
	id, _ := pack(r.Header.JobID)
	outcome, _, err := w.step(ctx, "reclaim", requeueScript, r.Header.JobID, id, strconv.Itoa(r.Attempt),
		position(r.Header, id), 0, "1", "1", "", "")
	return outcome == 1, err
}
