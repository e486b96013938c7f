// Package event holds the CloudEvents that the pipeline's steps send each
// other: their types, data, deterministic ids and JSON Schemas. Every event
// carries its job's Header, so that any one of them is enough to know the job.
package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/job"
)

// The types of the pipeline's events.
const (
	SweepRequested = "com.zixly.sweep.requested.v1"
	SweepAdmitted  = "com.zixly.sweep.admitted.v1"
	SweepSubmitted = "com.zixly.sweep.submitted.v1"
	SweepCompleted = "com.zixly.sweep.completed.v1"
	SweepCollected = "com.zixly.sweep.collected.v1"
	SweepFailed    = "com.zixly.sweep.failed.v1"
	JobCompleted   = "com.zixly.job.completed.v1"
	JobFailed      = "com.zixly.job.failed.v1"
	JobNotified    = "com.zixly.job.notified.v1"
)

// Extension attributes that the pipeline sets on its events.
const (
	ExtTenant       = "tenantid"
	ExtTraceParent  = "traceparent"
	ExtTraceState   = "tracestate"
	ExtPartitionKey = "partitionkey"
)

// Via says from what we know how a sweep ended.
type Via string

// The ways in which the end of a sweep is learnt.
const (
	ViaCallback   Via = "callback"
	ViaPoll       Via = "poll"
	ViaSubmit     Via = "submit"
	ViaCollect    Via = "collect"
	ViaDeadline   Via = "deadline"
	ViaOwner      Via = "owner"
	ViaDeadLetter Via = "dead-letter"
	// ViaJobStore: Redis had lost the end, and the job store knew of it. The word is that of
	// this version of the events.
	ViaJobStore Via = "ledger"
)

// function names the step that speaks for v: the event's source.
func (v Via) function() string {
	switch v {
	case ViaCallback:
		return "callback"
	case ViaSubmit:
		return "submit"
	case ViaCollect:
		return "collect"
	default:
		return "supervise"
	}
}

// Requested is the data of SweepRequested: a job was accepted.
type Requested struct {
	job.Header
}

// Admitted is the data of SweepAdmitted: a parked job got its turn.
type Admitted struct {
	job.Header
	AdmittedAt time.Time `json:"admitted_at"`
	// Turn counts the admissions of this job, from 1.
	Turn int `json:"turn"`
}

// Submitted is the data of SweepSubmitted: the trading API took the sweep.
type Submitted struct {
	job.Header
	TradingJobID string    `json:"trading_job_id"`
	SubmittedAt  time.Time `json:"submitted_at"`
	// EstimatedSeconds is the API's own estimate; 0 where it gives none.
	EstimatedSeconds float64 `json:"estimated_seconds,omitempty"`
	// Turn counts the submissions of this job, from 1: an API that forgot a
	// sweep (a restart) is asked again.
	Turn int `json:"turn"`
}

// Completed is the data of SweepCompleted: the results are ready to be fetched.
type Completed struct {
	job.Header
	TradingJobID string `json:"trading_job_id,omitempty"`
	SweepRunID   string `json:"sweep_run_id"`
	// Turn and SubmittedAt are as in Submitted, for a crash may have cost the job
	// that event; absent where the API never took a sweep.
	Turn             int        `json:"turn,omitempty"`
	SubmittedAt      *time.Time `json:"submitted_at,omitempty"`
	CompletedAt      time.Time  `json:"completed_at"`
	ExecutionSeconds float64    `json:"execution_seconds,omitempty"`
	Via              Via        `json:"via"`
	// Late marks an end that came after another had won: it belongs in the
	// timeline and changes nothing.
	Late bool `json:"late,omitempty"`
}

// Collected is the data of SweepCollected: all rows of a completed sweep are in
// the store, and this is what the job's end needs of them.
type Collected struct {
	job.Header
	TradingJobID string `json:"trading_job_id,omitempty"`
	SweepRunID   string `json:"sweep_run_id"`
	// Turn, SubmittedAt, CompletedAt and ExecutionSeconds are as in Completed.
	Turn             int        `json:"turn,omitempty"`
	SubmittedAt      *time.Time `json:"submitted_at,omitempty"`
	CompletedAt      time.Time  `json:"completed_at"`
	ExecutionSeconds float64    `json:"execution_seconds,omitempty"`
	CollectedAt      time.Time  `json:"collected_at"`
	// Rows is how many rows are stored, of Total that the trading API gave.
	Rows  int `json:"rows"`
	Total int `json:"total"`
	// BestScore is the highest score among them; 0 where there are none.
	BestScore float64 `json:"best_score"`
	// Synthetic marks results computed on made-up prices.
	Synthetic bool `json:"synthetic,omitempty"`
	// Data is what they were computed on; nil where the trading API does not say.
	Data *job.Data `json:"data,omitempty"`
	// Best are the best rows by score, at most ten; never null in JSON.
	Best []job.Row `json:"best"`
}

// Failed is the data of SweepFailed.
type Failed struct {
	job.Header
	TradingJobID string `json:"trading_job_id,omitempty"`
	// SweepRunID names the run whose results cannot be had, if that is the reason.
	SweepRunID   string        `json:"sweep_run_id,omitempty"`
	ErrorCode    job.ErrorCode `json:"error_code"`
	ErrorMessage string        `json:"error_message"`
	// Turn and SubmittedAt are as in Completed.
	Turn        int        `json:"turn,omitempty"`
	SubmittedAt *time.Time `json:"submitted_at,omitempty"`
	FailedAt    time.Time  `json:"failed_at"`
	Via         Via        `json:"via"`
	// Late marks an end that came after another had won: it belongs in the
	// timeline and changes nothing.
	Late bool `json:"late,omitempty"`
}

// Finished is the data of JobCompleted and JobFailed: the outcome is stored.
// Job.Results holds the best rows.
type Finished struct {
	Job job.Job `json:"job"`
	// Notified are the channels that are known to have been notified, in an event that is
	// sent again: who tells may have lost what it knew of them.
	Notified []string `json:"notified,omitempty"`
}

// Tenant is whose job it is.
func (f Finished) Tenant() string { return f.Job.TenantID }

// Notified is the data of JobNotified: one channel was notified, or given up.
type Notified struct {
	job.Header
	// Channel is "slack", "email", "log" or "url", the address that the request named.
	Channel    string    `json:"channel"`
	NotifiedAt time.Time `json:"notified_at"`
	// Again marks a channel that may have been notified before, by an attempt that
	// died without a word.
	Again bool `json:"again,omitempty"`
	// Left is how many channels were still to be notified then.
	Left int `json:"left,omitempty"`
	// Error says why the channel was given up; empty where it was notified.
	Error string `json:"error,omitempty"`
}

// Steps of a job, the second half of an event's id.
const (
	stepRequested = "requested"
	stepAdmitted  = "admitted"
	stepSubmitted = "submitted"
	stepCompleted = "completed"
	stepCollected = "collected"
	stepFailed    = "failed"
	stepJob       = "job"
	stepNotified  = "notified"
)

// NewRequested is what receive sends.
func NewRequested(d Requested) (cloudevents.Event, error) {
	return build("receive", SweepRequested, stepRequested, d.Header, d.CreatedAt, d)
}

// NewAdmitted is what the supervisor sends. A later turn is another event.
func NewAdmitted(d Admitted) (cloudevents.Event, error) {
	return build("supervise", SweepAdmitted, fmt.Sprintf("%s/%d", stepAdmitted, d.Turn), d.Header, d.AdmittedAt, d)
}

// NewSubmitted is what submit replies. A later turn is another event.
func NewSubmitted(d Submitted) (cloudevents.Event, error) {
	step := stepSubmitted
	if d.Turn > 1 {
		step = fmt.Sprintf("%s/%d", stepSubmitted, d.Turn)
	}
	return build("submit", SweepSubmitted, step, d.Header, d.SubmittedAt, d)
}

// NewCompleted is what callback and the supervisor send. The id is the same
// from both, so that store takes the second as a repeat.
func NewCompleted(d Completed) (cloudevents.Event, error) {
	return build(d.Via.function(), SweepCompleted, ending(stepCompleted, d.Late), d.Header, d.CompletedAt, d)
}

// NewCollected is what collect replies once all rows are stored.
func NewCollected(d Collected) (cloudevents.Event, error) {
	if d.Best == nil {
		d.Best = []job.Row{}
	}
	return build("collect", SweepCollected, stepCollected, d.Header, d.CollectedAt, d)
}

// NewFailed is what submit, callback, collect, the supervisor and the dead-letter
// sink send. The id is the same from all.
func NewFailed(d Failed) (cloudevents.Event, error) {
	return build(d.Via.function(), SweepFailed, ending(stepFailed, d.Late), d.Header, d.FailedAt, d)
}

// ending is the step of an end. One that came late is a step of its own: under
// the id of the end that won it would be dropped as a repeat.
func ending(step string, late bool) string {
	if late {
		return step + "/late"
	}
	return step
}

// NewFinished is what store replies once a job's end is stored: JobCompleted
// or JobFailed, by the job's status. notified are the channels that need not be notified.
func NewFinished(j job.Job, notified ...string) (cloudevents.Event, error) {
	typ := JobCompleted
	if j.Status == job.Failed {
		typ = JobFailed
	}
	at := j.CreatedAt
	if j.CompletedAt != nil {
		at = *j.CompletedAt
	}
	h := j.Header()
	return build("store", typ, stepJob, h, at, Finished{Job: j, Notified: notified})
}

// NewNotified is what notify replies, one for each channel.
func NewNotified(d Notified) (cloudevents.Event, error) {
	return build("notify", JobNotified, stepNotified+"/"+d.Channel, d.Header, d.NotifiedAt, d)
}

// build makes the event. Its id is derived, never random: the same step of the
// same job is the same event, and a repeat vanishes at ingress.
func build(function, typ, step string, h job.Header, at time.Time, data any) (cloudevents.Event, error) {
	e := cloudevents.New()
	e.SetSource("/sweepline/" + function)
	e.SetType(typ)
	e.SetID(h.JobID + "/" + step)
	e.SetSubject(h.JobID)
	e.SetTime(at.UTC())
	e.SetDataSchema(SchemaURN(typ))
	e.SetExtension(ExtTenant, h.TenantID)
	e.SetExtension(ExtPartitionKey, h.JobID)
	if err := e.SetData(cloudevents.ApplicationJSON, data); err != nil {
		return e, fmt.Errorf("encode data of %s: %w", typ, err)
	}
	if err := e.Validate(); err != nil {
		return e, fmt.Errorf("build %s: %w", typ, err)
	}
	return e, nil
}

// Data reads an event's data into D. The error is permanent: the same event
// will never become readable. An event whose data is of another tenant than its
// attribute says is an ErrTenant: brokers and filters have gone by the attribute.
func Data[D interface{ Tenant() string }](e cloudevents.Event) (D, error) {
	var d D
	if err := json.Unmarshal(e.Data(), &d); err != nil {
		return d, fmt.Errorf("read data of %s %s: %w", e.Type(), e.ID(), err)
	}
	if d.Tenant() != Extension(&e, ExtTenant) {
		return d, fmt.Errorf("read data of %s %s: %w", e.Type(), e.ID(), ErrTenant)
	}
	return d, nil
}

// ErrTenant is what Data returns for an event of two tenants.
var ErrTenant = errors.New("the data is not of the event's " + ExtTenant)

// Extension returns a text extension, "" where there is none. Unlike
// Event.Extensions it copies nothing.
func Extension(e *cloudevents.Event, name string) string {
	c, ok := e.Context.(*cloudevents.EventContextV1)
	if !ok {
		v, _ := e.Extensions()[name].(string)
		return v
	}
	v, _ := c.Extensions[name].(string)
	return v
}

// CopyTrace carries the trace context of one event over to the next.
func CopyTrace(from cloudevents.Event, to *cloudevents.Event) {
	for _, name := range []string{ExtTraceParent, ExtTraceState} {
		if v := Extension(&from, name); v != "" {
			to.SetExtension(name, v)
		}
	}
}
