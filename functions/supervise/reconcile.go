package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/creasty/defaults"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/restore"
	"github.com/zixly/sweepline/shared/wait"
)

// Reconciler compares what the job store has open with what waits in Redis, both
// ways, and closes the gaps that a lost Redis, a lost event or a dead letter
// leaves, so that no job stays open. A round begins every ReconcileConfig.Interval in one
// of the replicas, which holds a lease of it in Redis, and at once where Redis has come
// back empty:
//
//   - open in the job store, no record: the record is made anew (package restore);
//   - open in the job store, the wait has ended: the event of the end is sent again;
//   - accepted and not started: the request is resent;
//   - ended in the job store, a notification missing: the event of the end is resent.
//
// Events are sent again under their own id first: a broker that has the event,
// on its way or with a step that is behind or unavailable, drops the repeat, and only
// one that has lost its memory takes it. What is missed for an hour is sent under
// an id of its own (event.Again), after two hours under the next, and so on: a
// handful a day. Whoever writes a step down tells it by job and state, so that
// repeats change nothing.
//
// A job of which no record or event can be made is set aside, and costs only itself.
//
// Any number of replicas may run: rounds are claimed in Redis, and a round that
// two do at once does no harm.
type Reconciler struct {
	cfg      ReconcileConfig
	jobStore JobStore
	waits    *wait.Waits
	sink     wait.Sender
	lost     *restore.Jobs
	metrics  *reconcileMetrics

	// mu lets one round at a time run in this process.
	mu sync.Mutex
	// last is when this process ended its last round; zero before.
	last time.Time
}

const (
	// reconcilePage is how many jobs are compared at once: one statement and one
	// round trip to Redis.
	reconcilePage = 500
	// reconcileSend is how many events are sent at once.
	reconcileSend = 50
	// reconcileParallel is how many records are made at once.
	reconcileParallel = 8
	// reconcileLook is how often a replica looks whether it is time: the delay
	// with which a Redis that has come back empty is noticed.
	reconcileLook = 2 * time.Second
	// reconcileLease is how long a round is left to its replica after the last
	// sign of life.
	reconcileLease = 30 * time.Second
	// dedupWindow is how long the broker remembers an id: for as long an event may
	// be sent again under its own without anything coming of it.
	dedupWindow = 24 * time.Hour
	// escalateAfter is how long an event is missed until it is sent again under
	// an id of its own; then after twice that time, and so on. Before, whoever is
	// to take it may just be behind.
	escalateAfter = time.Hour
	// walkEvery is how often all records are checked.
	walkEvery = time.Hour
)

// What a round is claimed by.
const (
	claimRound = "reconcile"
	claimWalk  = "reconcile/walk"
)

// Kinds of gaps, as they are counted.
const (
	// lostRecord: the job store has the job open and Redis knows nothing of it.
	lostRecord = "record"
	// lostRequest: the job was accepted and its event was lost.
	lostRequest = "request"
	// lostEnd: the wait has ended and the job store does not know.
	lostEnd = "end"
	// lostNotice: the job store has the end and a notification is missing.
	lostNotice = "notice"
	// setAside: a job that can never be brought on, for what stands in the job store
	// or in its record. It is counted and logged, and the round goes on with others.
	setAside = "set_aside"
)

// ReconcileConfig is read from the environment.
type ReconcileConfig struct {
	// Interval is how often the job store and the waits are compared. Default 5m.
	Interval time.Duration `envconfig:"RECONCILE_INTERVAL" default:"5m"`
	// Grace is how long a step has until the event that should bring it about is
	// sent again. Default 2m.
	Grace time.Duration `envconfig:"RECONCILE_GRACE" default:"2m"`
}

// withDefaults fills empty fields and names every one that is wrong.
func (c ReconcileConfig) withDefaults() (ReconcileConfig, error) {
	defaults.MustSet(&c)
	var errs []error
	if c.Interval < time.Second {
		errs = append(errs, errors.New("RECONCILE_INTERVAL: must be at least 1s"))
	}
	if c.Grace < time.Second {
		errs = append(errs, errors.New("RECONCILE_GRACE: must be at least 1s"))
	}
	return c, errors.Join(errs...)
}

// JobStore is the store of jobs as the reconciler reads it: jobstore.Store.
type JobStore interface {
	Timeline(ctx context.Context, tenant, id string) ([]job.TimelineEvent, error)
	PendingPage(ctx context.Context, after string, limit int) ([]job.Job, error)
	Lookup(ctx context.Context, jobIDs []string) ([]job.Job, error)
}

// NewReconciler refuses missing dependencies and bad configuration, and does no
// I/O. The caller closes what it hands in.
func NewReconciler(cfg ReconcileConfig, l JobStore, waits *wait.Waits, sink wait.Sender, reg prometheus.Registerer) (*Reconciler, error) {
	if l == nil || waits == nil || sink == nil || reg == nil {
		return nil, errors.New("reconciler: job store, waits, sink and registry are required")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	lost, err := restore.New(l, waits, sink)
	if err != nil {
		return nil, err
	}
	return &Reconciler{cfg: cfg, jobStore: l, waits: waits, sink: sink, lost: lost, metrics: newReconcileMetrics(reg)}, nil
}

// Repairs are what a round did, by the kind of gap.
type Repairs map[string]int

// Jobs is the number of jobs that were brought on.
func (r Repairs) Jobs() (n int) {
	for _, k := range r {
		n += k
	}
	return n
}

// run runs a round whenever one is due and no other replica runs it, until ctx
// ends. The first failure and the recovery are logged.
func (r *Reconciler) run(ctx context.Context) {
	tick := time.NewTicker(reconcileLook)
	defer tick.Stop()
	failing := false
	for {
		select { // not at once: the broker of this process may still be starting
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, _, err := r.RunIfDue(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			slog.ErrorContext(ctx, "reconciling jobs failed, retrying", "error", err)
		case err == nil && failing:
			slog.InfoContext(ctx, "reconciling jobs recovered")
		}
		failing = err != nil
	}
}

// RunIfDue runs a round if one is due; done is false if none is, or if another replica
// runs it. After an error the next one is due at once.
func (r *Reconciler) RunIfDue(ctx context.Context) (repairs Repairs, done bool, err error) {
	claim, err := r.waits.Claim(ctx, claimRound, reconcileLease)
	if err != nil {
		return nil, false, err
	}
	if claim != once.Won && claim != once.Again {
		return nil, false, nil
	}
	// A Redis in which no round was ever claimed is new, or has lost everything.
	repairs, err = r.Round(ctx, claim == once.Won)
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err != nil {
		return repairs, true, errors.Join(err, r.waits.Release(settle, claimRound))
	}
	return repairs, true, r.waits.MarkDone(settle, claimRound, "", r.cfg.Interval)
}

// Round compares everything once. anew: nothing that Redis should remember can
// be relied on, so every gap is closed, not only those whose time has come.
func (r *Reconciler) Round(ctx context.Context, anew bool) (Repairs, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, err := r.waits.Time(ctx)
	if err != nil {
		return nil, fmt.Errorf("reconcile jobs: %w", err)
	}
	round := &round{Reconciler: r, now: now, grace: r.cfg.Grace, repairs: Repairs{}, renewed: time.Now()}
	if anew {
		// Whatever was on its way is lost as well.
		r.last, round.grace = time.Time{}, 0
	}
	round.since = r.last
	err = round.pending(ctx)
	if err == nil {
		err = round.walk(ctx)
	}
	if err == nil {
		err = round.flush(ctx, true)
	}
	r.metrics.rounds.WithLabelValues(roundOutcome(err)).Inc()
	if n := round.repairs.Jobs(); n > 0 {
		slog.WarnContext(ctx, "jobs reconciled", "jobs", n, "records", round.repairs[lostRecord], "requests", round.repairs[lostRequest],
			"ends", round.repairs[lostEnd], "notices", round.repairs[lostNotice])
	}
	if err != nil {
		return round.repairs, fmt.Errorf("reconcile jobs: %w", err)
	}
	r.last = round.now
	r.metrics.last.Set(float64(round.now.UnixMilli()) / 1000)
	return round.repairs, nil
}
