package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"golang.org/x/sync/errgroup"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
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

// unfinished goes through all jobs that the ledger has open.
func (r *round) unfinished(ctx context.Context) error {
	for after := (ledger.Position{}); ; {
		jobs, err := r.ledger.UnfinishedPage(ctx, after, reconcilePage)
		if err != nil {
			return err
		}
		if err := r.compare(ctx, jobs); err != nil {
			return err
		}
		if len(jobs) < reconcilePage {
			return nil
		}
		after = ledger.PositionOf(jobs[len(jobs)-1])
		if err := r.renew(ctx); err != nil {
			return err
		}
	}
}

// compare looks the records of open jobs up. The ledger was read before: it
// learns of a job only after its record was made, so that a record that is not
// there now is lost.
func (r *round) compare(ctx context.Context, jobs []job.Job) error {
	ids := make([]string, len(jobs))
	for i, j := range jobs {
		ids[i] = j.JobID
	}
	records, err := r.waits.Lookup(ctx, ids)
	if err != nil {
		return err
	}
	var lost []job.Job
	for _, j := range jobs {
		rec, ok := records[j.JobID]
		if !ok {
			lost = append(lost, j)
			continue
		}
		if err := r.check(ctx, rec, r.turn); err != nil {
			return err
		}
	}
	return r.restore(ctx, lost)
}

// restore makes records of jobs that have none. Those with a sweep come first:
// they hold slots that the others must not be given.
func (r *round) restore(ctx context.Context, lost []job.Job) error {
	r.metrics.found.WithLabelValues(lostRecord).Add(float64(len(lost)))
	for _, running := range []bool{true, false} {
		var made sync.Map
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(reconcileParallel)
		for _, j := range lost {
			if (j.Status == job.Running) != running {
				continue
			}
			g.Go(func() error {
				ok, err := r.lost.Put(ctx, j)
				if ok {
					made.Store(j.JobID, nil)
				}
				return err
			})
		}
		err := g.Wait()
		made.Range(func(any, any) bool {
			r.repaired(lostRecord, 1)
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// check closes the gap of a job whose record is there, if it has one: an event
// that was sent and has brought nothing about. turn says whether one that is
// missed for a time is to be sent now.
func (r *round) check(ctx context.Context, rec wait.Record, turn func(time.Duration) bool) error {
	switch {
	case rec.State == wait.Accepted && !rec.CalledOff:
		return r.again(ctx, lostRequest, rec.Header.CreatedAt, r.cfg.Grace, turn, func() (cloudevents.Event, error) {
			e, err := event.NewRequested(event.Requested{Header: rec.Header})
			telemetry.IntoEvent(rec.Trace(ctx), &e)
			return e, err
		})
	case rec.State.Ended() && !rec.Chores.Has(wait.ChoreEvent): // which the supervisor sends until it has got through
		return r.again(ctx, lostEnd, rec.EndedAt, r.grace, turn, func() (cloudevents.Event, error) { return rec.Event(ctx) })
	}
	return nil
}

// again sends an event again that was sent at a time and is missed since, for
// longer than a grace, if it is its turn.
func (r *round) again(ctx context.Context, kind string, sent time.Time, grace time.Duration, turn func(time.Duration) bool, build func() (cloudevents.Event, error)) error {
	missed := r.now.Sub(sent)
	if missed < grace {
		return nil
	}
	r.metrics.found.WithLabelValues(kind).Inc()
	if !turn(missed) {
		return nil
	}
	e, err := build()
	if err != nil {
		return err
	}
	r.out = append(r.out, repeat{kind, event.Again(e, repetition(missed))})
	return r.flush(ctx, false)
}

// repetition is under which number an event is sent again that is missed for a
// time.
func repetition(missed time.Duration) (n int) {
	for d := escalateAfter; missed >= d; d *= 2 {
		n++
	}
	return n
}

// turn reports whether, since the round before, an event that is missed for a
// time has been missed for the grace, twice as long, and so on.
func (r *round) turn(missed time.Duration) bool {
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

// flush sends what has gathered, in batches; all of it or only full ones.
func (r *round) flush(ctx context.Context, all bool) error {
	for len(r.out) >= reconcileSend || all && len(r.out) > 0 {
		n := min(reconcileSend, len(r.out))
		events := make([]cloudevents.Event, n)
		for i, o := range r.out[:n] {
			events[i] = o.event
		}
		if err := r.sink.Send(ctx, events...); err != nil {
			return fmt.Errorf("send %d events again: %w", n, err)
		}
		for _, o := range r.out[:n] {
			slog.InfoContext(ctx, "Event sent again", "kind", o.kind, "job_id", o.event.Subject(), "event_id", o.event.ID())
			r.repaired(o.kind, 1)
		}
		r.out = r.out[n:]
	}
	return nil
}

// unannounced goes through jobs whose end was stored and of which nobody was
// told. It looks back as far as the broker remembers: within that time an event
// that is on its way, waits for Slack to come back, or is a dead letter, is not
// doubled by sending it again.
func (r *round) unannounced(ctx context.Context) error {
	oldest := r.now.Add(-dedupWindow)
	cfg := r.waits.Config()
	// Jobs are listed by their creation, before their end by as long as a job may take.
	for after := (ledger.Position{CreatedAt: oldest.Add(-cfg.QueueTimeout - 4*cfg.CallbackTimeout)}); ; {
		jobs, err := r.ledger.UnannouncedPage(ctx, after, reconcilePage)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if j.CompletedAt == nil || j.CompletedAt.Before(oldest) {
				continue
			}
			if err := r.announce(ctx, j); err != nil {
				return err
			}
		}
		if len(jobs) < reconcilePage {
			return nil
		}
		after = ledger.PositionOf(jobs[len(jobs)-1])
		if err := r.renew(ctx); err != nil {
			return err
		}
	}
}

// announce sends the event of a stored end, always under its own id: a dead
// letter of it is its operator's to redrive.
func (r *round) announce(ctx context.Context, j job.Job) error {
	missed := r.now.Sub(*j.CompletedAt)
	if missed < r.grace {
		return nil
	}
	r.metrics.found.WithLabelValues(lostNotice).Inc()
	if !r.turn(missed) {
		return nil
	}
	e, err := event.NewFinished(j)
	if err != nil {
		return err
	}
	r.out = append(r.out, repeat{lostNotice, e})
	return r.flush(ctx, false)
}

// walk looks at all records, for those of jobs of which the ledger has never
// heard: all of their events got lost.
func (r *round) walk(ctx context.Context) error {
	claim, err := r.waits.Claim(ctx, claimWalk, reconcileLease)
	if err != nil || claim != wait.Won && claim != wait.Again {
		return err
	}
	err = r.waits.Walk(ctx, reconcilePage, func(page []wait.Glance) error {
		if err := r.renew(ctx); err != nil {
			return err
		}
		return r.unheard(ctx, page)
	})
	if err != nil {
		return errors.Join(err, r.waits.Release(context.WithoutCancel(ctx), claimWalk))
	}
	return r.waits.MarkDone(ctx, claimWalk, walkEvery)
}

// unheard checks those records of a page that the ledger should know by now and
// does not. The end of a job is looked for in the first hours after it; later
// the ledger has the job open, or it will never hear of it.
func (r *round) unheard(ctx context.Context, page []wait.Glance) error {
	var ids []string
	for _, g := range page {
		age := r.now.Sub(g.At)
		if g.At.IsZero() || age < r.cfg.Grace || g.CalledOff || g.State.Ended() && age > 4*walkEvery {
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
	heard, err := r.ledger.Lookup(ctx, ids)
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

// always is the turn of what is seen too seldom to wait for the next.
func always(time.Duration) bool { return true }

// renew shows that the round goes on.
func (r *round) renew(ctx context.Context) error {
	if time.Since(r.renewed) < reconcileLease/3 {
		return nil
	}
	r.renewed = time.Now()
	return r.waits.MarkDone(ctx, claimRound, reconcileLease)
}

func (r *round) repaired(kind string, n int) {
	r.repairs[kind] += n
	r.metrics.repaired.WithLabelValues(kind).Add(float64(n))
}
