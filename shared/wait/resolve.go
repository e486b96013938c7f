package wait

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
)

// End is how a wait ends.
type End struct {
	// RunID names the results; it makes the end a completed one.
	RunID string
	// Code says why it failed; it makes the end a failed one.
	Code    job.ErrorCode
	Message string
	// TradingJobID is the API's id of the sweep that ended, where it is known here.
	// A sweep that is not the wait's ends nothing.
	TradingJobID     string
	ExecutionSeconds float64
	// Via says who brings the end.
	Via event.Via
	// At is when it ended; zero means now, by Redis.
	At time.Time
	// AdmitNext: the caller calls Announce, so the next job may be admitted to the freed
	// slot in the same step. Otherwise the supervisor is woken for that.
	AdmitNext bool `json:"-"`
	// Read is the outcome of the API call that found the end, if one did.
	Read Report `json:"-"`
	// Supersede lets a failed end replace a completed one. Only an undeliverable event
	// does: the results were never stored. Its stored name is Overturn.
	Supersede bool `json:"Overturn"`
}

// state is the state that the end leads to.
func (e End) state() State {
	if e.Code == "" {
		return Completed
	}
	return Failed
}

// actions are the pending actions of the end. A sweep that still runs and is no longer
// waited for is to be cancelled.
func (e End) actions() Actions {
	c := ActionEvent
	switch e.Code {
	case job.Cancelled, job.TimedOut, job.Undeliverable:
		c += ActionCancel
	}
	return c
}

// Same reports whether the record has already ended as e says.
func (e End) Same(r Record) bool { return r.State == e.state() && r.ErrorCode == e.Code }

// Resolution is what Resolve did.
type Resolution struct {
	// Won: the wait ended by this call. Otherwise it had ended before, or the end
	// is Foreign.
	Won bool
	// Foreign: the end is that of another sweep than the wait's: of one that the
	// API had forgotten, or of one too many. It changed nothing.
	Foreign bool
	// Record is the wait as it is now.
	Record Record

	admitted []Record // in the same step; Announce sends their events
}

// Resolve ends a wait in any state; the first writer wins. The winner calls Announce;
// if it dies before, the supervisor does so from the pending actions in the record. ErrUnknown where there is no record.
func (w *Waits) Resolve(ctx context.Context, jobID string, e End) (Resolution, error) {
	return w.resolve(ctx, jobID, e, w.cfg.ActionDelay)
}

func (w *Waits) resolve(ctx context.Context, jobID string, e End, delay time.Duration) (Resolution, error) {
	id, ok := pack(jobID)
	if !ok {
		return Resolution{}, fmt.Errorf("resolve job: %w", ErrUnknown)
	}
	supersede, took, at, admitNext := "", "", "", ""
	if e.AdmitNext {
		admitNext = "1"
	}
	if e.Supersede && e.Code != "" {
		supersede = "1"
	}
	if e.TradingJobID != "" {
		took = strconv.FormatInt(int64(e.ExecutionSeconds*1000), 10)
	}
	if !e.At.IsZero() {
		at = strconv.FormatInt(e.At.UnixMilli(), 10)
	}
	args := []any{e.state().letter(), string(e.actions()), delay.Milliseconds(), supersede, took,
		packTradingID(e.TradingJobID), at, e.Read.text(), admitNext, w.cfg.AdmissionTimeout.Milliseconds(), "v", string(e.Via)}
	for _, f := range [][2]string{{"e", string(e.Code)}, {"m", e.Message}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	if e.Code == "" {
		args = append(args, "r", e.RunID, "p", "100")
	}
	if e.ExecutionSeconds > 0 {
		args = append(args, "q", strconv.FormatInt(int64(e.ExecutionSeconds*1000), 10))
	}
	reply, err := w.run(ctx, endedScript, append([]any{id}, args...)...).Slice()
	if err != nil {
		return Resolution{}, fmt.Errorf("resolve job %s: %w", jobID, err)
	}
	outcome, r, err := w.decodeStep(jobID, reply)
	if err != nil {
		return Resolution{}, fmt.Errorf("resolve job %s: %w", jobID, err)
	}
	res := Resolution{Won: outcome == 1, Foreign: outcome == 2, Record: r}
	if len(reply) > 3 {
		admitted, _ := reply[3].([]any)
		at, _ := reply[1].(string)
		res.admitted = w.records(ctx, at, admitted)
	}
	return res, nil
}

// KeepLate stores a late end whose event the broker cannot take now, for the
// supervisor to send. It returns false if another one is stored. e.At must be set: it
// is the event's time.
func (w *Waits) KeepLate(ctx context.Context, jobID string, e End) (bool, error) {
	id, ok := pack(jobID)
	if !ok {
		return false, fmt.Errorf("keep late end: %w", ErrUnknown)
	}
	text, err := json.Marshal(e)
	if err != nil {
		return false, fmt.Errorf("keep late end of job %s: %w", jobID, err)
	}
	outcome, _, err := w.step(ctx, "keep late end", lateScript, jobID, id, text, w.cfg.ActionDelay.Milliseconds())
	return outcome == 1, err
}

// Cancel is the owner's: the job fails with the code cancelled at once, in
// whatever state it is, unless it has ended before. The supervisor sends the
// event and cancels the sweep. It returns the state in which the wait is now.
func (w *Waits) Cancel(ctx context.Context, jobID string) (State, error) {
	res, err := w.resolve(ctx, jobID, End{Code: job.Cancelled, Message: "cancelled by its owner", Via: event.ViaOwner}, 0)
	if err != nil {
		return "", err
	}
	if res.Won {
		w.wake(ctx, wakeDue)
	}
	return res.Record.State, nil
}
