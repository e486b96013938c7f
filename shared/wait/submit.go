package wait

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/job"
)

// Verdict is what submit has to do with a job.
type Verdict int

// The verdicts of Enter.
const (
	// Go: call the API now. The attempt is in charge until the record's
	// LeaseUntil, which Extend moves.
	Go Verdict = iota + 1
	// Look: as Go, but the sweep may be at the API already; look for it first.
	Look
	// InLine: the job stands in line and will be admitted. Nothing to do.
	InLine
	// Busy: another attempt is in charge; should it die, the supervisor gives
	// the job another turn. Nothing to do.
	Busy
	// Submitted: the sweep is at the API.
	Submitted
	// Over: the job has ended. Nothing to do.
	Over
)

// Entry is the answer of Enter.
type Entry struct {
	Verdict Verdict
	Record  Record
}

// Enter registers a job's wait, gives it a slot or a place in line, and with a
// slot the right to call the API. It may be called any number of times, by
// anybody, at any moment: at most one attempt is told to Go at a time. A crash
// within leaves a wait that is due.
func (w *Waits) Enter(ctx context.Context, h job.Header) (Entry, error) {
	id, ok := pack(h.JobID)
	if !ok {
		return Entry{}, fmt.Errorf("enter job: %q is not a job id", h.JobID)
	}
	r, err := w.begin(ctx, id, h)
	if err != nil {
		return Entry{}, err
	}
	switch {
	case r.State.Ended():
		return Entry{Over, r}, nil
	case r.State == Waiting:
		return Entry{Submitted, r}, nil
	case r.State == Submitting && r.LeaseUntil.After(w.now()):
		return Entry{Busy, r}, nil
	}
	got, err := w.acquire(ctx, r)
	if err != nil {
		return Entry{}, err
	}
	if !got {
		return Entry{InLine, r}, w.settleInLine(ctx, r)
	}
	outcome, r, err := w.step(ctx, "start", startScript, h.JobID, id,
		w.ms(), w.after(w.cfg.SubmitLease))
	if err != nil {
		return Entry{}, err
	}
	switch {
	case outcome == 1:
		return Entry{Go, r}, nil
	case outcome == 2:
		return Entry{Look, r}, nil
	case r.State.Ended():
		// It ended between the two steps, maybe after its slot was freed.
		if r.Chores.Has(ChoreCancel) {
			return Entry{Over, r}, nil
		}
		return Entry{Over, r}, w.FreeSlot(ctx, h.JobID)
	case r.State == Waiting:
		return Entry{Submitted, r}, nil
	default:
		return Entry{Busy, r}, nil
	}
}

// begin makes sure that the wait is registered before anything is called.
func (w *Waits) begin(ctx context.Context, id string, h job.Header) (Record, error) {
	header, err := encodeHeader(h)
	if err != nil {
		return Record{}, fmt.Errorf("begin job %s: %w", h.JobID, err)
	}
	fields, err := beginScript.Run(ctx, w.redis, append(w.keys.of(id), w.keys.restarts(id)), id, header, encodeTrace(ctx),
		w.after(w.cfg.QueueTimeout), w.after(w.cfg.TurnTimeout), acceptedTTL.Milliseconds(), w.cfg.QueueTimeout.Milliseconds()).Slice()
	if err != nil {
		return Record{}, fmt.Errorf("begin job %s: %w", h.JobID, err)
	}
	r, err := w.decode(h.JobID, fields)
	if err != nil {
		return Record{}, fmt.Errorf("begin job %s: %w", h.JobID, err)
	}
	return r, nil
}

// settleInLine lets the wait rest until its turn or its deadline.
func (w *Waits) settleInLine(ctx context.Context, r Record) error {
	_, err := w.Schedule(ctx, r, r.Deadline)
	return err
}

// Extend keeps an attempt in charge for another SubmitLease from now. It is
// false where the attempt is not in charge any more: it must not call the API.
func (w *Waits) Extend(ctx context.Context, r Record) (bool, error) {
	id, _ := pack(r.Header.JobID)
	return w.flag(ctx, "extend lease", extendScript, r.Header.JobID, w.keys.of(id),
		id, strconv.Itoa(r.Attempt), w.after(w.cfg.SubmitLease))
}

// Landing is what Note found.
type Landing int

// The outcomes of Note.
const (
	// Noted: the wait knows its sweep. A repeat is Noted too.
	Noted Landing = iota + 1
	// Extra: the wait already has another sweep; this one should be cancelled.
	Extra
	// Late: the wait has ended meanwhile: an early callback, or its owner. A
	// sweep that nobody wants any more has become the supervisor's chore.
	Late
)

// Note writes down that the API took the job's sweep. first is when to poll it
// for the first time, unless a callback ends it before.
func (w *Waits) Note(ctx context.Context, jobID, tradingJobID string, estimate, first time.Duration) (Landing, Record, error) {
	id, ok := pack(jobID)
	if !ok {
		return 0, Record{}, fmt.Errorf("note sweep: %w", ErrUnknown)
	}
	outcome, r, err := w.step(ctx, "note sweep", submittedScript, jobID, id,
		packTradingID(tradingJobID), w.ms(), estimate.Milliseconds(), w.after(first), w.keys.changes(),
		w.after(w.cfg.CallbackTimeout))
	if err != nil {
		return 0, Record{}, err
	}
	if outcome == 0 {
		return Late, r, nil
	}
	if w.cfg.MaxConcurrent == 0 {
		// Without a limit a slot only says who is on the way to the API. What
		// goes wrong here the slot's lease puts right.
		_ = w.FreeSlot(ctx, jobID)
	}
	return Landing(outcome), r, nil
}

// Setback says why and for how long an attempt gives up.
type Setback struct {
	// Wait is how long the job stays away.
	Wait time.Duration
	// Uncertain: the sweep may be at the API all the same. The job keeps its
	// slot, and the next attempt looks before it calls.
	Uncertain bool
}

// PutBack ends an attempt that brought no sweep: the job is QUEUED on and will
// be admitted again. It goes back to the place that it had in line. Where the
// attempt is not in charge any more, nothing happens.
func (w *Waits) PutBack(ctx context.Context, r Record, s Setback) error {
	id, _ := pack(r.Header.JobID)
	// Without a slot the wait is due soon until the line knows of it, below.
	look, due := "", w.after(w.cfg.TurnTimeout)
	if s.Uncertain {
		look, due = "1", w.after(s.Wait)
	}
	outcome, r, err := w.step(ctx, "put back", putbackScript, r.Header.JobID, id,
		strconv.Itoa(r.Attempt), due, look, "", w.ms())
	if err != nil {
		return err
	}
	if outcome == 0 || s.Uncertain {
		return nil
	}
	if err := w.postpone(ctx, id, r, s.Wait); err != nil {
		return err
	}
	return w.settleInLine(ctx, r)
}

// Reclaim takes a wait from an attempt whose lease has run out, so that the job
// can get another turn. It is false where the attempt is alive.
func (w *Waits) Reclaim(ctx context.Context, r Record) (Record, bool, error) {
	id, _ := pack(r.Header.JobID)
	outcome, back, err := w.step(ctx, "reclaim", putbackScript, r.Header.JobID, id,
		strconv.Itoa(r.Attempt), w.after(w.cfg.TurnTimeout), "1", w.ms(), w.ms())
	return back, outcome == 1, err
}
