package wait

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/admission"
	"github.com/zixly/sweepline/shared/job"
)

// Deal is what Deal gave out.
type Grants struct {
	// Turns are parked jobs whose turn it is. The caller sends AdmittedEvent for
	// each. A turn of which nobody hears comes due after TurnTimeout.
	Admitted []Record
	// Calls are waits for which the API is to be called. Should the caller die,
	// each comes up again when its lease ends.
	Calls []Call
	// Again is in how long there will be something to deal for time alone; 0
	// where nothing will.
	Again time.Duration
}

// Call is a wait and one call to the API that was dealt to it.
type Call struct {
	// Record is Waiting, to be polled; or it has ended with ChoreCancel.
	Record Record
	// Superfluous is the API's id of a sweep to be cancelled that is one too
	// many. Then Record holds the job's id only.
	Duplicate string
	// Since is since when it is superfluous.
	Since time.Time
	// Calls is the call.
	Calls admission.Calls

	extra string
}

// Deal gives out turns, at most turns, and calls, at most calls: as many as there
// are slots and calls in the budget, each to whoever has waited longest. Nobody
// else gets those waits for the time of lease.
func (w *Waits) AdmitNext(ctx context.Context, admitted, calls int, lease time.Duration) (Grants, error) {
	asked := time.Now()
	reply, err := w.run(ctx, grantScript, admitted, calls, lease.Milliseconds(),
		w.cfg.AdmissionTimeout.Milliseconds(), w.cfg.CallbackTimeout.Milliseconds()).Slice()
	if err != nil || len(reply) != 4 {
		return Grants{}, fmt.Errorf("deal turns and calls: %w", err)
	}
	again, _ := reply[0].(string)
	d := Grants{Again: time.Duration(number(again)) * time.Millisecond}
	at, _ := reply[1].(string)
	given, _ := reply[2].([]any)
	d.Admitted = w.records(ctx, at, given)
	due, _ := reply[3].([]any)
	for i := 0; i+1 < len(due); i += 2 {
		member, _ := due[i].(string)
		c := Call{Calls: admission.Granted(1, asked)}
		if fields, _ := due[i+1].([]any); len(fields) == 0 {
			if !c.readExtra(member) {
				continue
			}
			c.Record.At = time.UnixMilli(number(at)).UTC()
		} else if rs := w.records(ctx, at, due[i:i+2]); len(rs) == 1 {
			c.Record = rs[0]
		} else {
			continue
		}
		d.Calls = append(d.Calls, c)
	}
	return d, nil
}

// readExtra reads a member of extras.
func (c *Call) readExtra(member string) bool {
	const id, since = 16, 13
	if len(member) <= id+since {
		return false
	}
	jobID, _ := unpack(member[:id])
	c.extra = member
	c.Record.Header = job.Header{JobID: jobID}
	c.Since = time.UnixMilli(number(member[id : id+since])).UTC()
	c.Duplicate = unpackTradingID(member[id+since:])
	return true
}

// records decodes {id, record, …}. One that can't be read must not hold up the
// others.
func (w *Waits) records(ctx context.Context, at string, pairs []any) []Record {
	var out []Record
	for i := 0; i+1 < len(pairs); i += 2 {
		id, _ := pairs[i].(string)
		fields, _ := pairs[i+1].([]any)
		jobID, ok := unpack(id)
		if !ok {
			continue
		}
		r, err := w.decode(jobID, fields)
		if err != nil {
			slog.ErrorContext(ctx, "Wait record unreadable", "job_id", jobID, "error", err)
			continue
		}
		r.At = time.UnixMilli(number(at)).UTC()
		out = append(out, r)
	}
	return out
}

// Due leases up to n waits that somebody has to look at and that need no call to
// the API: nobody else gets them for the time of lease. What is done with one
// decides when it is due next; where nothing is done, because whoever leased it
// died, it comes up again when the lease ends. The cost is that of what is due,
// not of what waits.
func (w *Waits) Due(ctx context.Context, n int, lease time.Duration) ([]Record, error) {
	reply, err := w.run(ctx, dueScript, lease.Milliseconds(), n).Slice()
	if err != nil || len(reply) == 0 {
		return nil, fmt.Errorf("lease due waits: %w", err)
	}
	at, _ := reply[0].(string)
	return w.records(ctx, at, reply[1:]), nil
}

// Turn is for a parked wait that came due: true means that its turn has not been
// taken up and AdmittedEvent is to be sent once more. The turn is the same, and so
// is the event.
func (w *Waits) CheckAdmission(ctx context.Context, r Record) (Record, bool, error) {
	id, _ := pack(r.Header.JobID)
	outcome, r, err := w.step(ctx, "look after turn", admissionScript, r.Header.JobID, id,
		w.cfg.AdmissionTimeout.Milliseconds(), position(r.Header, id))
	return r, outcome == 1, err
}

// Progress notes a poll that found the sweep not ended, or completed without its
// run id, or was not answered, and says in how long to poll next. It is false
// where the wait is over.
func (w *Waits) Progress(ctx context.Context, r Record, percent int, runIDMissing bool, next time.Duration, read Report) (bool, error) {
	id, _ := pack(r.Header.JobID)
	missing := ""
	if runIDMissing {
		missing = "1"
	}
	return w.flag(ctx, "note progress", progressScript, r.Header.JobID, id, percent,
		next.Milliseconds(), missing, w.cfg.CallbackTimeout.Milliseconds(), read.text())
}

// Again has the API called about a wait in the time of next: Waiting, or ended with
// ChoreCancel. It is false, and nothing happens, where its state is no longer r's.
func (w *Waits) Reschedule(ctx context.Context, r Record, next time.Duration, read Report) (bool, error) {
	id, _ := pack(r.Header.JobID)
	return w.flag(ctx, "schedule call", rescheduleScript, r.Header.JobID, id, r.State.letter(),
		next.Milliseconds(), w.cfg.CallbackTimeout.Milliseconds(), read.text())
}

// AgainSuperfluous is Again for a sweep that is one too many.
func (w *Waits) RescheduleDuplicate(ctx context.Context, c Call, next time.Duration, read Report) error {
	_, err := w.flag(ctx, "schedule cancelling", rescheduleScript, c.Record.Header.JobID, c.extra, "x",
		next.Milliseconds(), strconv.Itoa(0), read.text())
	return err
}

// Dropped notes that a sweep that was one too many is gone. Its slot is free.
func (w *Waits) Dropped(ctx context.Context, c Call) error {
	_, err := w.flag(ctx, "drop sweep", droppedScript, c.Record.Header.JobID, c.extra)
	return err
}

// Forget sends a wait back to be submitted again, because the API does not know
// its sweep any more. It keeps its slot and has a new time in line.
func (w *Waits) Forget(ctx context.Context, r Record) (bool, error) {
	id, _ := pack(r.Header.JobID)
	outcome, _, err := w.step(ctx, "forget sweep", forgetScript, r.Header.JobID, id,
		packTradingID(r.TradingJobID), w.cfg.QueueTimeout.Milliseconds())
	return outcome == 1, err
}
