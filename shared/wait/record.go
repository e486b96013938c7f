package wait

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/telemetry"
)

// State is the state of a wait.
type State string

// The states of a wait.
const (
	// Accepted: the webhook was answered, but its event has not reached submit.
	Accepted State = "accepted"
	// Parked: to be submitted. It is queued, or admitted and not started, or waits
	// for calls to look up a sweep that may be at the API.
	Parked State = "parked"
	// Submitting: an attempt is calling the API.
	Submitting State = "submitting"
	// Waiting: the sweep is at the API.
	Waiting State = "waiting"
	// Completed and Failed: ended; no other state follows.
	Completed State = "completed"
	Failed    State = "failed"
)

// Ended reports whether nothing follows.
func (s State) Ended() bool { return s == Completed || s == Failed }

// letter is how a state is kept in Redis.
func (s State) letter() string { return string(s[:1]) }

var stateOf = map[string]State{"a": Accepted, "p": Parked, "s": Submitting, "w": Waiting, "c": Completed, "f": Failed}

// Actions are the pending actions of a wait that has ended: any of ActionEvent,
// ActionCancel, ActionLate.
type Actions string

// The actions.
const (
	// ActionEvent: the event of the end is to be sent.
	ActionEvent Actions = "e"
	// ActionCancel: the sweep is to be cancelled at the API. Until then the job
	// keeps its slot.
	ActionCancel Actions = "c"
	// ActionLate: the event of Record.Late is to be sent.
	ActionLate Actions = "l"
)

// Has reports whether one of the actions in others is among c.
func (c Actions) Has(others Actions) bool { return strings.ContainsAny(string(c), string(others)) }

// Record is what is known of a job while it waits, and for a while after.
type Record struct {
	Header job.Header
	State  State
	// Progress is 0–100, as the API reported it last.
	Progress int
	// Place is the job's position in the queue, from 1; 0 if it is not queued. Only
	// Get, Records and Watch fill it in.
	Place int
	// TradingJobID is the API's id of the sweep.
	TradingJobID string
	// SweepRunID names the results of a completed one.
	SweepRunID string
	// ErrorCode and ErrorMessage say why it failed.
	ErrorCode    job.ErrorCode
	ErrorMessage string
	// Via says who brought the end.
	Via event.Via
	// StartedAt is when the API took the sweep; zero before.
	StartedAt time.Time
	// EndedAt is when it ended; zero before.
	EndedAt time.Time
	// Deadline is when it times out: in the queue, or at the API. Zero where no
	// deadline runs.
	Deadline time.Time
	// AdmittedAt is when the job was admitted; zero once it has started, and before.
	AdmittedAt time.Time
	// At is the time by Redis at which the record was read. Only steps fill it in,
	// not Get and Watch.
	At time.Time
	// ParkedAt is since when it is Parked; zero in other states.
	ParkedAt time.Time
	// ExecutionSeconds is the API's own figure.
	ExecutionSeconds float64
	// EstimatedSeconds is what the API guessed at submission.
	EstimatedSeconds float64
	// Admissions counts the job's admissions from the queue.
	Admissions int
	// Submissions counts the sweeps that the API took for it.
	Submissions int
	// Uncertain: the API may have a sweep of the job that the record does not know.
	Uncertain bool
	// AfterLoss: Uncertain, since Redis has lost everything and the job was accepted anew.
	// Its sweep may be older than the record, by LossWindow.
	AfterLoss bool
	// Attempt numbers the attempts at submitting.
	Attempt int
	// Tries counts failed attempts since the last success, or polls.
	Tries int
	// RunIDMissed counts polls that found the sweep completed without a run id.
	RunIDMissed int
	// LeaseUntil is until when the attempt is in charge, while Submitting.
	LeaseUntil time.Time
	// Actions are the pending actions of its end.
	Actions Actions
	// Dropped are duplicate sweeps of the job; they were cancelled or will be.
	Dropped []string
	// Late is a late end whose event could not be sent yet.
	Late *End
	// EventRefused: the broker refused the event of an Accepted job, and its client
	// received the error.
	EventRefused bool

	sc trace.SpanContext
}

// JobState is the state of the job as its owner sees it.
func (r Record) JobState() job.State {
	switch r.State {
	case Waiting:
		return job.Running
	case Completed:
		return job.Completed
	case Failed:
		return job.Failed
	default:
		return job.Queued
	}
}

// Trace gives ctx the trace in which the job was accepted, unless it has that
// already.
func (r Record) Trace(ctx context.Context) context.Context { return telemetry.Within(ctx, r.sc) }

// decode reads the fields of a record. Their names are one letter each, so that
// Redis keeps a record as one small block.
func (w *Waits) decode(jobID string, fields []any) (Record, error) {
	f := make(map[string]string, len(fields)/2)
	for i := 0; i+1 < len(fields); i += 2 {
		name, _ := fields[i].(string)
		f[name], _ = fields[i+1].(string)
	}
	return w.decodeMap(jobID, f)
}

func (w *Waits) decodeMap(jobID string, f map[string]string) (Record, error) {
	state, ok := stateOf[f["s"]]
	if !ok {
		return Record{}, errors.New("record has no state")
	}
	h, err := decodeHeader(jobID, f["h"])
	if err != nil {
		return Record{}, fmt.Errorf("read header: %w", err)
	}
	r := Record{
		Header:       h,
		State:        state,
		TradingJobID: unpackTradingID(f["x"]),
		SweepRunID:   f["r"],
		ErrorCode:    job.ErrorCode(f["e"]),
		ErrorMessage: f["m"],
		Via:          event.Via(f["v"]),
		Actions:      Actions(f["o"]),
		EventRefused: state == Accepted && f["O"] != "",
		Uncertain:    f["k"] != "",
		AfterLoss:    f["k"] == "2",
		sc:           decodeTrace(f["t"]),
	}
	for name, into := range map[string]*int{
		"p": &r.Progress, "n": &r.Admissions, "u": &r.Submissions, "a": &r.Attempt, "b": &r.Tries, "j": &r.RunIDMissed,
	} {
		*into = int(number(f[name]))
	}
	for name, into := range map[string]*time.Time{"i": &r.StartedAt, "z": &r.EndedAt, "y": &r.LeaseUntil, "c": &r.AdmittedAt} {
		if ms := number(f[name]); ms > 0 {
			*into = time.UnixMilli(ms).UTC()
		}
	}
	if !r.StartedAt.IsZero() {
		r.Submissions++ // the field counts those after the first
	}
	switch ms := number(f["l"]); {
	case r.State == Parked && ms > 0:
		r.Deadline = time.UnixMilli(ms).UTC()
		r.ParkedAt = r.Deadline.Add(-w.cfg.QueueTimeout) // for the first time; after that it is written down
		if ms := number(f["w"]); ms > 0 {
			r.ParkedAt = time.UnixMilli(ms).UTC()
		}
	case r.State == Waiting:
		r.Deadline = w.resultDeadline(r.StartedAt)
	}
	for text := f["D"]; text != "" && len(text) > int(text[0]); {
		r.Dropped = append(r.Dropped, unpackTradingID(text[1:1+text[0]]))
		text = text[1+text[0]:]
	}
	if text := f["d"]; text != "" {
		r.Late = &End{}
		if err := json.Unmarshal([]byte(text), r.Late); err != nil {
			return Record{}, fmt.Errorf("read late end: %w", err)
		}
	}
	r.ExecutionSeconds = float64(number(f["q"])) / 1000
	r.EstimatedSeconds = float64(number(f["g"])) / 1000
	return r, nil
}

// resultDeadline is not kept in the record: with a million of them each field
// counts. A new CALLBACK_TIMEOUT so holds for all that wait.
func (w *Waits) resultDeadline(started time.Time) time.Time {
	return started.Add(w.cfg.CallbackTimeout)
}

// Expired reports whether the deadline had passed when the record was read.
func (r Record) Expired() bool { return !r.Deadline.IsZero() && !r.At.Before(r.Deadline) }

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // absent means 0
	return n
}
