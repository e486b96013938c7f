package wait

import (
	"context"
	"errors"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/telemetry"
)

// recordWait creates the span of an ended wait, with the times of the record. The
// sender of the end's event calls it, so usually once; after a crash in between the
// same span is created again, with the same id.
func (r Record) recordWait(ctx context.Context) {
	if !telemetry.Traced(ctx) || r.Via == event.ViaSubmit || (r.State == Failed && r.SweepRunID != "") {
		return // rejected at once, or a superseded end, whose span exists
	}
	key, name, from := "wait", "wait for results", r.StartedAt
	if from.IsZero() {
		key, name, from = "line", "wait in queue", r.Header.CreatedAt
	}
	var failure error
	if r.State == Failed {
		failure = errors.New(string(r.ErrorCode))
	}
	telemetry.Past(r.root(ctx), key+"/"+r.Header.JobID, name, from, r.EndedAt, failure,
		attribute.String("job.id", r.Header.JobID), attribute.String("trading.job_id", r.TradingJobID),
		attribute.String("wait.via", string(r.Via)), attribute.Int("wait.submissions", r.Submissions))
}

// RecordAdmission creates the span of the time that an admitted job was queued. It is
// called once the admission's event is sent.
func (r Record) RecordAdmission(ctx context.Context) {
	if r.ParkedAt.IsZero() || r.AdmittedAt.IsZero() {
		return
	}
	telemetry.Past(r.root(ctx), "line/"+r.Header.JobID+"/"+strconv.Itoa(r.Admissions), "wait in queue", r.ParkedAt, r.AdmittedAt, nil,
		attribute.String("job.id", r.Header.JobID), attribute.Int("wait.turn", r.Admissions))
}

// root is ctx right under where the job was accepted, whoever calls.
func (r Record) root(ctx context.Context) context.Context {
	return trace.ContextWithRemoteSpanContext(ctx, r.sc)
}
