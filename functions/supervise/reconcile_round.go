package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"golang.org/x/sync/errgroup"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

// round is one comparison.
type round struct {
	*Reconciler

	now time.Time
	// since is when the round before was; zero to close every gap.
	since time.Time
	// grace is how long an end is missed until it is sent again.
	grace   time.Duration
	repairs Repairs
	renewed time.Time
	out     []repeat
}

// repeat is an event to be sent again.
type repeat struct {
	kind  string
	event cloudevents.Event
}

// pending goes through all jobs that the job store has open, or whose end
// lacks a notification. Lost sweeps that are at the API are restored before lost jobs that are
// not: they hold slots that the others must not be given.
func (r *round) pending(ctx context.Context) error {
	queued := 0
	if err := r.pages(ctx, func(jobs []job.Job) error {
		open := make([]job.Job, 0, len(jobs))
		for _, j := range jobs {
			if !j.Status.Terminal() {
				open = append(open, j)
			} else if err := r.announce(ctx, j); err != nil {
				return err
			}
		}
		lost, err := r.compare(ctx, open)
		if err != nil {
			return err
		}
		queued += len(of(lost, job.Queued))
		return r.restore(ctx, of(lost, job.Running))
	}); err != nil || queued == 0 {
		return err
	}
	return r.pages(ctx, func(jobs []job.Job) error {
		lost, err := r.missing(ctx, of(jobs, job.Queued))
		if err != nil {
			return err
		}
		return r.restore(ctx, lost)
	})
}

// of keeps the jobs in one state.
func of(jobs []job.Job, s job.State) (out []job.Job) {
	for _, j := range jobs {
		if j.Status == s {
			out = append(out, j)
		}
	}
	return out
}

// pages shows all pending jobs.
func (r *round) pages(ctx context.Context, visit func([]job.Job) error) error {
	for after := ""; ; {
		jobs, err := r.jobStore.PendingPage(ctx, after, reconcilePage)
		if err != nil || len(jobs) == 0 {
			return err
		}
		if err := visit(jobs); err != nil {
			return err
		}
		after = jobs[len(jobs)-1].JobID
		if err := r.renew(ctx); err != nil {
			return err
		}
	}
}

// compare closes the gaps of open jobs that have a record, and gives those that
// have none.
func (r *round) compare(ctx context.Context, jobs []job.Job) (lost []job.Job, err error) {
	records, err := r.records(ctx, jobs)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		rec, ok := records[j.JobID]
		if !ok {
			lost = append(lost, j)
			continue
		}
		if err := r.check(ctx, rec, r.resendDue); err != nil {
			return nil, err
		}
	}
	r.metrics.found.WithLabelValues(lostRecord).Add(float64(len(lost)))
	return lost, nil
}

// missing gives the jobs that have no record.
func (r *round) missing(ctx context.Context, jobs []job.Job) (lost []job.Job, err error) {
	records, err := r.records(ctx, jobs)
	for _, j := range jobs {
		if _, ok := records[j.JobID]; !ok {
			lost = append(lost, j)
		}
	}
	return lost, err
}

// records looks the records of open jobs up. The job store was read before: it
// learns of a job only after its record was made, so that a record that is not
// there now is lost.
func (r *round) records(ctx context.Context, jobs []job.Job) (map[string]wait.Record, error) {
	ids := make([]string, len(jobs))
	for i, j := range jobs {
		ids[i] = j.JobID
	}
	return r.waits.Lookup(ctx, ids)
}

// restore makes records of jobs that have none.
func (r *round) restore(ctx context.Context, lost []job.Job) error {
	var made atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(reconcileParallel)
	for _, j := range lost {
		g.Go(func() error {
			ok, err := r.lost.Put(ctx, j)
			if ok {
				made.Add(1)
			}
			if errors.Is(err, wait.ErrUnfit) {
				r.aside(ctx, j.JobID, err)
				return nil
			}
			return err
		})
	}
	err := g.Wait()
	if n := int(made.Load()); n > 0 {
		r.repaired(lostRecord, n)
	}
	return err
}

// check closes the gap of a job whose record is there, if it has one: an event
// that was sent without effect. due says whether one that is
// missed for a time is to be sent now.
func (r *round) check(ctx context.Context, rec wait.Record, due func(time.Duration) bool) error {
	switch {
	case rec.State == wait.Accepted && !rec.EventRefused:
		return r.again(ctx, rec.Header.JobID, lostRequest, rec.Header.CreatedAt, r.cfg.Grace, due, func() (cloudevents.Event, error) {
			e, err := event.NewRequested(event.Requested{Header: rec.Header})
			telemetry.IntoEvent(rec.Trace(ctx), &e)
			return e, err
		})
	case rec.State.Ended() && !rec.Actions.Has(wait.ActionEvent): // which the supervisor sends until it has got through
		return r.again(ctx, rec.Header.JobID, lostEnd, rec.EndedAt, r.grace, due, func() (cloudevents.Event, error) { return rec.Event(ctx) })
	}
	return nil
}

// again sends an event again that was sent at a time and is missed since, for
// longer than a grace, if it is due.
func (r *round) again(ctx context.Context, jobID, kind string, sent time.Time, grace time.Duration, due func(time.Duration) bool, build func() (cloudevents.Event, error)) error {
	missed := r.now.Sub(sent)
	if missed < grace {
		return nil
	}
	r.metrics.found.WithLabelValues(kind).Inc()
	if !due(missed) {
		return nil
	}
	e, err := build()
	if err != nil { // nothing is asked for it: what stands in the record is no event
		r.aside(ctx, jobID, err)
		return nil
	}
	r.out = append(r.out, repeat{kind, event.Again(e, repetition(missed, escalateAfter))})
	return r.flush(ctx, false)
}

// repetition is under which number an event is sent again that is missed for a
// time: 1 after the first time, 2 after twice that, and so on.
func repetition(missed, first time.Duration) (n int) {
	for d := first; missed >= d; d *= 2 {
		n++
	}
	return n
}

// resendDue reports whether, since the previous round, an event that is missed for a
// time has been missed for the grace, twice as long, and so on.
func (r *round) resendDue(missed time.Duration) bool {
	if r.since.IsZero() {
		return true
	}
	before := missed - r.now.Sub(r.since)
	for d := r.cfg.Grace; d <= missed; d *= 2 {
		if d > before {
			return true
		}
	}
	return false
}

// aside leaves a job out that can never be brought on.
func (r *round) aside(ctx context.Context, jobID string, err error) {
	r.metrics.found.WithLabelValues(setAside).Inc()
	slog.ErrorContext(ctx, "job quarantined: no record or event can be made of it", "job_id", jobID, "error", err)
}

// flush sends what has gathered, in batches; all of it or only full ones. Where the
// broker refuses a batch for good, each event goes alone, and those that it refuses
// are left out.
func (r *round) flush(ctx context.Context, all bool) error {
	for len(r.out) >= reconcileSend || all && len(r.out) > 0 {
		n := min(reconcileSend, len(r.out))
		events := make([]cloudevents.Event, n)
		for i, o := range r.out[:n] {
			events[i] = o.event
		}
		refused, err := r.send(ctx, events)
		if err != nil {
			return fmt.Errorf("resend %d events: %w", n, err)
		}
		for i, o := range r.out[:n] {
			if refused[i] {
				continue
			}
			slog.InfoContext(ctx, "event resent", "kind", o.kind, "job_id", o.event.Subject(), "event_id", o.event.ID())
			r.repaired(o.kind, 1)
		}
		r.out = r.out[n:]
	}
	return nil
}

// send sends events together or, where one of them is refused for good, each alone.
// It gives those that were refused by their places.
func (r *round) send(ctx context.Context, events []cloudevents.Event) (refused map[int]bool, err error) {
	if err := r.sink.Send(ctx, events...); !refusedEvent(err) {
		return nil, err
	}
	refused = map[int]bool{}
	for i, e := range events {
		switch err := r.sink.Send(ctx, e); {
		case refusedEvent(err):
			refused[i] = true
			r.aside(ctx, e.Subject(), err)
		case err != nil:
			return nil, err
		}
	}
	return refused, nil
}

// refusedEvent reports that the broker refused what it was sent for what is in it.
func refusedEvent(err error) bool {
	var r *sink.Refused
	return errors.As(err, &r) && (r.Status == http.StatusBadRequest || r.Status == http.StatusRequestEntityTooLarge)
}

// announce sends the event of a stored end with missing notifications, always
// under its own id: a dead letter of it is its operator's to redrive. It looks
// back as far as the broker remembers: within that time an event that is on its
// way, waits for Slack to come back, or is a dead letter, is not doubled by
// sending it again.
func (r *round) announce(ctx context.Context, j job.Job) error {
	if j.CompletedAt == nil {
		return nil
	}
	missed := r.now.Sub(*j.CompletedAt)
	if missed < r.grace || missed >= dedupWindow {
		return nil
	}
	r.metrics.found.WithLabelValues(lostNotice).Inc()
	if !r.resendDue(missed) {
		return nil
	}
	notified, err := r.notified(ctx, j)
	if err != nil {
		return err
	}
	e, err := event.NewFinished(j, notified...)
	if err != nil {
		r.aside(ctx, j.JobID, err)
		return nil
	}
	r.out = append(r.out, repeat{lostNotice, e})
	return r.flush(ctx, false)
}

// notified are the channels that were notified of the job's end, by the job store. A
// Redis that has lost its data has lost the claims, and if one channel then waits for
// its server, the others must not be notified again.
func (r *round) notified(ctx context.Context, j job.Job) (channels []string, err error) {
	timeline, err := r.jobStore.Timeline(ctx, j.TenantID, j.JobID)
	if err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	for _, e := range timeline {
		if c, _ := e.Data["channel"].(string); e.Type == event.JobNotified && c != "" && !slices.Contains(channels, c) {
			channels = append(channels, c)
		}
	}
	return channels, nil
}

// walk looks at all records, for those of jobs of which the job store has never
// heard: all of their events got lost.
func (r *round) walk(ctx context.Context) error {
	claim, err := r.waits.Claim(ctx, claimWalk, reconcileLease)
	if err != nil || claim != once.Won && claim != once.Again {
		return err
	}
	err = r.waits.Walk(ctx, reconcilePage, func(page []wait.Summary) error {
		if err := r.renew(ctx); err != nil {
			return err
		}
		return r.unheard(ctx, page)
	})
	if err != nil {
		return errors.Join(err, r.waits.Release(context.WithoutCancel(ctx), claimWalk))
	}
	return r.waits.MarkDone(ctx, claimWalk, "", walkEvery)
}

// unheard checks those records of a page that the job store should know by now and
// does not. The end of a job is looked for in the first hours after it; later
// the job store has the job open, or it will never hear of it.
func (r *round) unheard(ctx context.Context, page []wait.Summary) error {
	var ids []string
	for _, g := range page {
		age := r.now.Sub(g.At)
		if g.At.IsZero() || age < r.cfg.Grace || g.EventRefused || g.State.Ended() && age > 4*walkEvery {
			continue
		}
		ids = append(ids, g.JobID)
	}
	for len(ids) > 0 {
		n := min(reconcilePage, len(ids))
		if err := r.ask(ctx, ids[:n]); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

func (r *round) ask(ctx context.Context, ids []string) error {
	heard, err := r.jobStore.Lookup(ctx, ids)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(heard))
	for _, j := range heard {
		known[j.JobID] = true
	}
	var unknown []string
	for _, id := range ids {
		if !known[id] {
			unknown = append(unknown, id)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	records, err := r.waits.Lookup(ctx, unknown)
	if err != nil {
		return err
	}
	for _, rec := range records {
		if err := r.check(ctx, rec, always); err != nil {
			return err
		}
	}
	return nil
}

// always is for gaps that are found too seldom to wait for the next round.
func always(time.Duration) bool { return true }

// renew shows that the round goes on.
func (r *round) renew(ctx context.Context) error {
	if time.Since(r.renewed) < reconcileLease/3 {
		return nil
	}
	r.renewed = time.Now()
	return r.waits.MarkDone(ctx, claimRound, "", reconcileLease)
}

func (r *round) repaired(kind string, n int) {
	r.repairs[kind] += n
	r.metrics.repaired.WithLabelValues(kind).Add(float64(n))
}
