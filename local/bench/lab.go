package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"
)

// lab is what all runs share: PostgreSQL and the stubs of what is outside.
type lab struct {
	program string
	dir     string
	api     *tradingAPI
	slack   *slackStub
	pg      *postgresServer
	redis   *redisServer
	// profile is where the next pipeline leaves its profiles; empty: nowhere.
	profile string
	closers []func()
}

// newLab starts everything but Redis and the pipeline.
func newLab(ctx context.Context, program string) (_ *lab, err error) {
	l := &lab{program: program}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	// PostgreSQL may run as another user, who must find the way.
	if l.dir, err = os.MkdirTemp("", "sweepline-bench-"); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	l.closers = append(l.closers, func() { _ = os.RemoveAll(l.dir) })
	if err := os.Chmod(l.dir, 0o755); err != nil { //nolint:gosec // see above
		return nil, fmt.Errorf("open folder: %w", err)
	}
	if l.pg, err = startPostgres(ctx, filepath.Join(l.dir, "postgres")); err != nil {
		return nil, err
	}
	l.closers = append(l.closers, func() { l.pg.stop() })
	if l.api, err = startTradingAPI(); err != nil {
		return nil, err
	}
	l.closers = append(l.closers, l.api.close)
	if l.slack, err = startSlack(); err != nil {
		return nil, err
	}
	l.closers = append(l.closers, l.slack.close)
	return l, nil
}

// useRedis starts a Redis of this appendfsync in place of the one before.
func (l *lab) useRedis(ctx context.Context, fsync string) error {
	if l.redis != nil {
		l.redis.stop()
		l.redis = nil
	}
	r, err := startRedis(ctx, filepath.Join(l.dir, "redis-"+fsync), fsync)
	l.redis = r
	return err
}

func (l *lab) close() {
	if l.redis != nil {
		l.redis.stop()
	}
	for i := len(l.closers) - 1; i >= 0; i-- {
		l.closers[i]()
	}
}

// run is a pipeline on an empty Redis and an empty database.
type run struct {
	*lab
	db      *database
	pipe    *pipeline
	counter *counter // nil unless commands are counted
}

// start starts a pipeline; with counting its Redis is behind a proxy. It is ready
// when start returns.
func (l *lab) start(ctx context.Context, r role, counting bool) (_ *run, err error) {
	if err := l.redis.client.FlushAll(ctx).Err(); err != nil {
		return nil, fmt.Errorf("empty redis: %w", err)
	}
	if err := l.redis.client.ScriptFlush(ctx).Err(); err != nil { // so that they are sent once more, and seen
		return nil, fmt.Errorf("empty redis: %w", err)
	}
	l.api.forget()
	out := &run{lab: l}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.close(ctx))
		}
	}()
	if out.db, err = l.pg.create(ctx); err != nil {
		return nil, err
	}
	address := l.redis.address
	if counting {
		if out.counter, err = startCounter(ctx, address); err != nil {
			return nil, err
		}
		address = out.counter.address
	}
	if err := out.launch(ctx, r, address); err != nil {
		return nil, err
	}
	return out, out.pipe.awaitHealth(ctx)
}

// launch starts the process and does not wait for it.
func (r *run) launch(ctx context.Context, part role, redis string) (err error) {
	r.pipe, err = startPipeline(ctx, r.dir, r.program, part, "REDIS_URL=redis://"+redis, "DATABASE_URL="+r.db.url,
		"TRADING_API_URL="+r.api.url, "SLACK_WEBHOOK_URL="+r.slack.url+"/services/T000/B000/secret", "PROFILE="+r.profile)
	return err
}

func (r *run) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var err error
	if r.pipe != nil {
		err = r.pipe.close()
	}
	if r.counter != nil {
		r.counter.close()
	}
	if r.db != nil {
		r.pg.drop(ctx, r.db)
	}
	return err
}

// webhook is the request that asks for a job.
func (r *run) webhook() []byte { return post(r.pipe.host, webhookPath, nil, []byte(sweepBody)) }

// usage is everything that is counted, at one moment.
type usage struct {
	at                                time.Time
	pipeline, redis, postgres, driver time.Duration // CPU
	// by source, see the sources.
	inRedis, inSQL, texts, atAPI, atSlack, metrics, commands map[string]float64
}

func (r *run) usage(ctx context.Context) (usage, error) {
	u := usage{driver: ownCPUTime(), atAPI: r.api.counts(), atSlack: r.slack.counts()}
	var errs [7]error
	u.pipeline, errs[0] = cpuTime(r.pipe.pid)
	u.redis, errs[1] = cpuTime(r.redis.pid)
	u.postgres, errs[2] = cpuTime(r.pg.pid)
	u.inRedis, errs[3] = r.redis.info(ctx)
	u.inSQL, errs[4] = r.pg.counts(ctx, r.db)
	u.metrics, errs[5] = r.pipe.metrics(ctx)
	u.texts, errs[6] = r.pg.statements(ctx, r.db)
	if r.counter != nil {
		u.commands = r.counter.counts()
	}
	u.at = time.Now()
	return u, errors.Join(errs[:]...)
}

// since is what was used from before to u.
func (u usage) since(before usage) usage {
	minus := func(a, b map[string]float64) map[string]float64 {
		d := maps.Clone(a)
		for k := range d {
			d[k] -= b[k]
		}
		return d
	}
	return usage{
		at: u.at, pipeline: u.pipeline - before.pipeline, redis: u.redis - before.redis, postgres: u.postgres - before.postgres, driver: u.driver - before.driver,
		inRedis: minus(u.inRedis, before.inRedis), inSQL: minus(u.inSQL, before.inSQL), texts: minus(u.texts, before.texts), atAPI: minus(u.atAPI, before.atAPI), atSlack: minus(u.atSlack, before.atSlack),
		metrics: minus(u.metrics, before.metrics), commands: minus(u.commands, before.commands),
	}
}

// settled waits until the timelines have not grown for a while, and returns their
// lines: the last events of notified jobs are then stored.
func (r *run) settled(ctx context.Context) (int, error) {
	const quiet = time.Second
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last, since := -1, time.Now()
	for {
		n, err := r.db.events(ctx)
		if err != nil {
			return 0, err
		}
		if n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) >= quiet {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
}

// note writes a line about what is going on.
func note(w io.Writer, format string, args ...any) {
	if w != nil {
		fmt.Fprintf(w, format+"\n", args...)
	}
}
