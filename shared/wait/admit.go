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

// Grants is the result of AdmitNext.
type Grants struct {
	// Admitted are the parked jobs that were admitted. The caller sends AdmittedEvent
	// for each. An admission whose event is lost comes due after AdmissionTimeout.
	Admitted []Record
	// Calls are waits with one granted API call each. If the caller dies, each comes
	// up again when its lease ends.
	Calls []Call
	// Again is the delay after which more can be granted; 0 if only an event can
	// change that.
	Again time.Duration
}

// Call is a wait and the API call that was granted to it.
type Call struct {
	// Record is Waiting, to be polled; or it has ended with ActionCancel.
	Record Record
	// Duplicate is the API's id of a duplicate sweep to be cancelled. Then Record
	// holds the job's id only.
	Duplicate string
	// Since is when the duplicate was detected.
	Since time.Time
	// Calls is the call.
	Calls admission.Calls

	extra string
}

// AdmitNext admits at most admissions jobs and grants at most calls calls: as many as
// slots and the budget allow, each to the job that has waited longest. No other caller
// gets those waits for the duration of lease.
func (w *Waits) AdmitNext(ctx context.Context, admissions, calls int, lease time.Duration) (Grants, error) {
	asked := time.Now()
	reply, err := w.run(ctx, grantScript, admissions, calls, lease.Milliseconds(),
		w.cfg.AdmissionTimeout.Milliseconds(), w.cfg.CallbackTimeout.Milliseconds()).Slice()
	if err == nil && len(reply) != 4 {
		err = errAnswer
	}
	if err != nil {
		return Grants{}, fmt.Errorf("admit jobs and grant calls: %w", err)
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
			slog.ErrorContext(ctx, "wait record is invalid, skipping", "job_id", jobID, "error", err)
			continue
		}
		r.At = time.UnixMilli(number(at)).UTC()
		out = append(out, r)
	}
	return out
}

// Due leases up to n due waits that need no API call: no other caller gets them for
// the duration of lease. Each step on a wait schedules when it is due next; if the
// leaseholder dies, the wait is due again when the lease ends. The cost grows with
// the due waits, not with all waits.
func (w *Waits) Due(ctx context.Context, n int, lease time.Duration) ([]Record, error) {
	reply, err := w.run(ctx, dueScript, lease.Milliseconds(), n).Slice()
	if err == nil && len(reply) == 0 {
		err = errAnswer
	}
	if err != nil {
		return nil, fmt.Errorf("lease due waits: %w", err)
	}
	at, _ := reply[0].(string)
	return w.records(ctx, at, reply[1:]), nil
}

// CheckAdmission is for a parked wait that came due: true means that the job is
// admitted, has not started, and AdmittedEvent is to be sent again. It is the same
// admission, and the same event.
func (w *Waits) CheckAdmission(ctx context.Context, r Record) (Record, bool, error) {
	id, _ := pack(r.Header.JobID)
	outcome, r, err := w.step(ctx, "check admission", admissionScript, r.Header.JobID, id,
		w.cfg.AdmissionTimeout.Milliseconds(), position(r.Header, id))
	return r, outcome == 1, err
}

// Progress records a poll that found the sweep running, or completed without its
// run id, or got no answer, and schedules the next poll. It returns false if the wait
// has ended.
func (w *Waits) Progress(ctx context.Context, r Record, percent int, runIDMissing bool, next time.Duration, read Report) (bool, error) {
	id, _ := pack(r.Header.JobID)
	missing := ""
	if runIDMissing {
		missing = "1"
	}
	return w.flag(ctx, "note progress", progressScript, r.Header.JobID, id, percent,
		next.Milliseconds(), missing, w.cfg.CallbackTimeout.Milliseconds(), read.text())
}

// Reschedule schedules the next API call of a wait after next: Waiting, or ended with
// ActionCancel. It returns false, without effect, if its state is no longer r's.
func (w *Waits) Reschedule(ctx context.Context, r Record, next time.Duration, read Report) (bool, error) {
	id, _ := pack(r.Header.JobID)
	return w.flag(ctx, "schedule call", rescheduleScript, r.Header.JobID, id, r.State.letter(),
		next.Milliseconds(), w.cfg.CallbackTimeout.Milliseconds(), read.text())
}

// RescheduleDuplicate is Reschedule for a duplicate sweep.
func (w *Waits) RescheduleDuplicate(ctx context.Context, c Call, next time.Duration, read Report) error {
	_, err := w.flag(ctx, "schedule cancelling", rescheduleScript, c.Record.Header.JobID, c.extra, "x",
		next.Milliseconds(), strconv.Itoa(0), read.text())
	return err
}

// Dropped records that a duplicate sweep is cancelled. Its slot is freed.
func (w *Waits) Dropped(ctx context.Context, c Call) error {
	_, err := w.flag(ctx, "drop sweep", droppedScript, c.Record.Header.JobID, c.extra)
	return err
}

// Forget returns a wait for resubmission, because the API has lost its sweep. It keeps
// its slot and gets a new queue timeout.
func (w *Waits) Forget(ctx context.Context, r Record) (bool, error) {
	id, _ := pack(r.Header.JobID)
	outcome, _, err := w.step(ctx, "forget sweep", forgetScript, r.Header.JobID, id,
		packTradingID(r.TradingJobID), w.cfg.QueueTimeout.Milliseconds())
	return outcome == 1, err
}
