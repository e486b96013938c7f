package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// jobsConns is how many connections jobs are sent on.
const jobsConns = 32

// endTimeout is how long the last job may take once the others are done.
const endTimeout = 3 * time.Minute

// batch is a number of jobs, from the first request until the last was notified and all
// was stored.
type batch struct {
	jobs int
	sent *answers
	// elapsed is from the first request until the last notification.
	elapsed time.Duration
	// notified are the times from a job's 202, and from when its request was due, to its
	// notification, sorted.
	notified, notifiedFromDue []time.Duration
	used                      usage
	events                    int // lines in the timelines
	keys                      map[string]held
	left                      held
}

// do sends jobs by load and follows them to their ends. An error says that a job
// was lost, or ended badly, or was notified without its id.
func (r *run) do(ctx context.Context, n int, load func(ctx context.Context, host string, request maker) (*answers, error)) (*batch, error) {
	_, leftBefore, err := r.redis.left(ctx)
	if err != nil {
		return nil, err
	}
	eventsBefore, err := r.db.events(ctx)
	if err != nil {
		return nil, err
	}
	doneBefore, _, err := r.db.completed(ctx)
	if err != nil {
		return nil, err
	}
	before, err := r.usage(ctx) // after what counting itself costs
	if err != nil {
		return nil, err
	}
	b := &batch{jobs: n}
	notified := r.slack.expect(n)
	if b.sent, err = load(ctx, r.pipe.host, same(r.webhook())); err != nil {
		return nil, fmt.Errorf("send jobs: %w", err)
	}
	timer := time.NewTimer(endTimeout)
	defer timer.Stop()
	select {
	case <-notified:
	case <-r.pipe.done:
		return nil, fmt.Errorf("pipeline ended: %w: %s", r.pipe.err, r.pipe.out)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		times, _ := r.slack.times()
		return nil, fmt.Errorf("%d of %d jobs were notified after %s (%d callbacks were not taken)", len(times), n, endTimeout, r.api.lost())
	}
	times, unnamed := r.slack.times()
	if unnamed > 0 {
		return nil, fmt.Errorf("%d notifications hold no job_id", unnamed)
	}
	for _, s := range b.sent.accepted {
		at, ok := times[s.id]
		if !ok {
			return nil, fmt.Errorf("job %s was accepted and nobody was notified of it", s.id)
		}
		b.elapsed = max(b.elapsed, at.Sub(b.sent.began))
		b.notified = append(b.notified, at.Sub(s.ended))
		b.notifiedFromDue = append(b.notifiedFromDue, at.Sub(s.due))
	}
	slices.Sort(b.notified)
	slices.Sort(b.notifiedFromDue)
	if b.events, err = r.settled(ctx); err != nil {
		return nil, err
	}
	b.events -= eventsBefore
	after, err := r.usage(ctx)
	if err != nil {
		return nil, err
	}
	b.used = after.since(before)
	var left held
	if b.keys, left, err = r.redis.left(ctx); err != nil {
		return nil, err
	}
	b.left = held{left.Keys - leftBefore.Keys, left.Bytes - leftBefore.Bytes}
	done, _, err := r.db.completed(ctx)
	if err == nil && done-doneBefore != n {
		err = fmt.Errorf("%d of %d jobs are COMPLETED in the database", done-doneBefore, n)
	}
	return b, err
}

// burst sends n jobs as fast as they are accepted.
func (r *run) burst(ctx context.Context, n int) (*batch, error) {
	return r.do(ctx, n, func(ctx context.Context, host string, request maker) (*answers, error) {
		return closedLoop(ctx, host, request, jobsConns, n)
	})
}

// paced sends n jobs at a rate.
func (r *run) paced(ctx context.Context, n int, rate float64) (*batch, error) {
	return r.do(ctx, n, func(ctx context.Context, host string, request maker) (*answers, error) {
		return openLoop(ctx, host, request, jobsConns, n, rate)
	})
}

// each divides by the number of jobs.
func (b *batch) each(n float64) float64 { return n / float64(b.jobs) }

// cpu is milliseconds a job.
func (b *batch) cpu(d time.Duration) float64 { return b.each(ms(d)) }

// calls are the commands and statements of one job, by name.
func (b *batch) calls() map[string]float64 {
	n := map[string]float64{}
	for _, from := range []map[string]float64{b.used.commands, b.used.texts} {
		for name, calls := range from {
			if calls != 0 && name != "all" && name != "scripts" && name != "trips" {
				n[name] = b.each(calls)
			}
		}
	}
	return n
}

// counts are what one job costs, in figures that a busy machine does not blur, or
// hardly: it groups more steps into one.
func (b *batch) counts() map[string]float64 {
	u := b.used
	n := map[string]float64{
		"redis_executed": u.inRedis["total_commands_processed"],
		"redis_scripts":  u.inRedis["calls evalsha"] + u.inRedis["calls eval"] + u.inRedis["calls fcall"],
		"sql_statements": u.inSQL["statements"], "sql_control": u.inSQL["control"], "sql_nested": u.inSQL["nested"],
		"sql_writes": u.inSQL["writes"], "sql_wal_kb": u.inSQL["wal"] / 1000,
		"http_functions": u.metrics["pipeline_function_requests_total"], "http_ingress": u.metrics["sweepline_broker_requests_total"],
		"http_api":    u.atAPI["health"] + u.atAPI["submit"] + u.atAPI["results"] + u.atAPI["best"] + u.atAPI["job"] + u.atAPI["jobs"] + u.atAPI["cancel"],
		"http_slack":  u.atSlack["posts"],
		"http_conns":  u.atAPI["conns"] + u.atSlack["conns"],
		"events":      float64(b.events),
		"left_keys":   float64(b.left.Keys),
		"left_kb":     float64(b.left.Bytes) / 1000,
		"allocations": u.metrics["go_memstats_mallocs_total"], "allocated_kb": u.metrics["go_memstats_alloc_bytes_total"] / 1000,
	}
	if u.commands != nil {
		n["redis_commands"], n["redis_trips"] = u.commands["all"], u.commands["trips"]
	}
	for name := range n {
		n[name] = b.each(n[name])
	}
	return n
}
