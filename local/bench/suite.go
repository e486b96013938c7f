package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// fsyncs are Redis' ways to keep its append-only file that are measured.
var fsyncs = []string{"everysec", "always"}

// Options say what is measured. The zero value of a field is its default.
type Options struct {
	// Jobs are those of a burst. Default 3000.
	Jobs int `json:"jobs"`
	// Stored are jobs that the store of a burst has before, completed ones. Default none.
	Stored int `json:"stored,omitempty"`
	// Counted are those of the runs that count commands. Default 300.
	Counted int `json:"counted"`
	// Rate is of the paced run, in jobs a second. Default 100.
	Rate int `json:"rate"`
	// Span is how long a load at a rate, a closed loop and idling last. Default 10s.
	Span time.Duration `json:"span"`
	// Rounds are how often everything is measured. Default 1.
	Rounds int `json:"rounds"`
	// Fsync are values of Redis' appendfsync. Default everysec and always.
	Fsync []string `json:"fsync"`
	// Only are the scenarios to run. Default all of Scenarios.
	Only []string `json:"only"`
	// Profile is a folder for profiles of the pipeline in a burst, and paced. Default: none
	// are taken.
	Profile string `json:"-"`
	// Program is the sweepline to measure. Default the running one.
	Program string `json:"-"`
	// Progress gets a line for each step. Default: none.
	Progress io.Writer `json:"-"`
	// Version is written into the report.
	Version string `json:"-"`
}

func (o *Options) complete() error {
	number := func(v *int, value int) {
		if *v <= 0 {
			*v = value
		}
	}
	number(&o.Jobs, 3000)
	number(&o.Counted, 300)
	number(&o.Rate, 100)
	number(&o.Rounds, 1)
	if o.Span <= 0 {
		o.Span = 10 * time.Second
	}
	if len(o.Fsync) == 0 {
		o.Fsync = fsyncs
	}
	if len(o.Only) == 0 {
		o.Only = Scenarios()
	}
	for _, f := range o.Fsync {
		if !slices.Contains(fsyncs, f) {
			return fmt.Errorf("fsync %q is none of %v", f, fsyncs)
		}
	}
	for _, name := range o.Only {
		if !slices.Contains(Scenarios(), name) {
			return fmt.Errorf("scenario %q is none of %v", name, Scenarios())
		}
	}
	if o.Program == "" {
		var err error
		if o.Program, err = os.Executable(); err != nil {
			return fmt.Errorf("find our own program: %w", err)
		}
	}
	return nil
}

// suite is one pass over the scenarios with one Redis.
type suite struct {
	*lab
	Options
	samples map[string][]float64
	report  *Report
}

// scenarios are run in this order, each on an empty pipeline.
var scenarios = []struct {
	name string
	run  func(*suite, context.Context) error
}{
	{"ceiling", (*suite).ceilings},
	{"start", (*suite).starts},
	{"idle", (*suite).idle},
	{"accept", (*suite).accept},
	{"open", (*suite).open},
	{"burst", (*suite).burst},
	{"delayed", (*suite).delayed},
	{"paced", (*suite).paced},
	{"job", (*suite).counted},
	{"broker", (*suite).brokerAlone},
}

// Scenarios are the names that Options.Only takes; figures begin with them.
func Scenarios() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// Run measures. It needs Linux, redis-server and PostgreSQL, and starts private ones.
// An error says that something did not work, not that it was slow: a lost job, a
// server that is not installed (servers.ErrNotInstalled).
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	began, machine := time.Now(), describeMachine()
	l, err := newLab(ctx, o.Program)
	if err != nil {
		return nil, err
	}
	defer l.close()
	samples := map[string]map[string][]float64{}
	found := &Report{Left: map[string]map[string]held{}, Calls: map[string]map[string]float64{}}
	for round := range o.Rounds {
		for _, fsync := range o.Fsync { // in turn, so that a noisy minute hits both
			if err := l.useRedis(ctx, fsync); err != nil {
				return nil, err
			}
			if err := l.versions(ctx, &machine); err != nil {
				return nil, err
			}
			if samples[fsync] == nil {
				samples[fsync] = map[string][]float64{}
			}
			s := &suite{lab: l, Options: o, samples: samples[fsync], report: found}
			for _, sc := range scenarios {
				if !slices.Contains(o.Only, sc.name) {
					continue
				}
				note(o.Progress, "round %d of %d, fsync %s: %s", round+1, o.Rounds, fsync, sc.name)
				if err := sc.run(s, ctx); err != nil {
					return nil, fmt.Errorf("scenario %s, fsync %s: %w", sc.name, fsync, err)
				}
			}
		}
	}
	r := newReport(samples)
	machine.LoadAfter = load()
	r.At, r.Took, r.Version, r.Machine, r.Options = began, time.Since(began).Round(time.Second).String(), o.Version, machine, o
	r.Left, r.Calls = found.Left, found.Calls
	return r, nil
}

// add records a sample. A name that is not defined is a mistake of ours.
func (s *suite) add(name string, v float64) {
	if _, ok := definitionOf(name); !ok {
		panic("bench: no figure " + name)
	}
	s.samples[name] = append(s.samples[name], v)
}

// with runs do on a pipeline of its own.
func (s *suite) with(ctx context.Context, r role, counting bool, do func(*run) error) (err error) {
	p, err := s.start(ctx, r, counting)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close(ctx)) }()
	return do(p)
}

// starts measures from the start of the process to the first 202, on a database that
// has its tables: the median of five.
func (s *suite) starts(ctx context.Context) error {
	return s.with(ctx, all, false, func(r *run) error {
		var took []time.Duration
		for range 5 {
			if err := r.pipe.close(); err != nil {
				return err
			}
			began := time.Now()
			if err := r.launch(ctx, all, s.redis.address); err != nil {
				return err
			}
			request := r.webhook()
			err := r.pipe.poll(ctx, func(c *conn) bool {
				status, _, _, err := c.send(ctx, request)
				return err == nil && status == http.StatusAccepted
			})
			if err != nil {
				return err
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		s.add("start.first_202_ms", ms(percentile(took, 50)))
		return nil
	})
}

// idle looks at a pipeline that has nothing to do.
func (s *suite) idle(ctx context.Context) error {
	return s.with(ctx, all, false, func(r *run) error {
		if err := pause(ctx, 2*time.Second); err != nil { // what starting leaves to do
			return err
		}
		before, err := r.usage(ctx)
		if err != nil {
			return err
		}
		if err := pause(ctx, s.Span); err != nil {
			return err
		}
		after, err := r.usage(ctx)
		if err != nil {
			return err
		}
		m, err := readMemory(r.pipe.pid)
		if err != nil {
			return err
		}
		u, span := after.since(before), after.at.Sub(before.at)
		s.add("idle.memory_mib", float64(m.resident)/(1<<20))
		s.add("idle.anonymous_mib", float64(m.anonymous)/(1<<20))
		s.add("idle.cpu_percent", 100*float64(u.pipeline)/float64(span))
		s.add("idle.redis_per_s", (u.inRedis["total_commands_processed"]-1)/span.Seconds()) // less our own INFO
		s.add("idle.sql_per_s", u.inSQL["statements"]/span.Seconds())
		return nil
	})
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// warm sends a few requests, so that connections and caches are there.
func (r *run) warm(ctx context.Context, conns int) error {
	_, err := during(ctx, 500*time.Millisecond, func(ctx context.Context) (*answers, error) {
		return closedLoop(ctx, r.pipe.host, same(r.webhook()), conns, 0)
	})
	return err
}

// accept measures how many webhooks a receiver accepts from clients that wait for
// each answer.
func (s *suite) accept(ctx context.Context) error {
	return s.with(ctx, receiver, false, func(r *run) error {
		if err := r.warm(ctx, jobsConns); err != nil {
			return err
		}
		before, err := r.usage(ctx)
		if err != nil {
			return err
		}
		a, err := during(ctx, s.Span, func(ctx context.Context) (*answers, error) {
			return closedLoop(ctx, r.pipe.host, same(r.webhook()), jobsConns, 0)
		})
		if err != nil {
			return err
		}
		after, err := r.usage(ctx)
		if err != nil {
			return err
		}
		u, n := after.since(before), float64(len(a.accepted))
		s.add("accept.per_s", a.rate())
		s.add("accept.cpu_ms", ms(u.pipeline)/n)
		s.add("accept.cpu_redis_ms", ms(u.redis)/n)
		return nil
	})
}

// openRate is the rate of open loops, in requests a second.
const openRate = 1000

// open measures how long a receiver takes to accept webhooks that come whatever it
// does.
func (s *suite) open(ctx context.Context) error {
	return s.with(ctx, receiver, false, func(r *run) error {
		if err := r.warm(ctx, 8); err != nil {
			return err
		}
		a, err := openLoop(ctx, r.pipe.host, same(r.webhook()), 64, int(openRate*s.Span.Seconds()), openRate)
		if err != nil {
			return err
		}
		d := sorted(a.accepted, func(x sent) time.Duration { return x.ended.Sub(x.due) })
		s.add("open.p50_ms", ms(percentile(d, 50)))
		s.add("open.p99_ms", ms(percentile(d, 99)))
		return nil
	})
}

// profiled has the pipelines of a scenario leave their profiles, until what it returns is called.
func (s *suite) profiled(scenario string) (done func()) {
	if s.Profile != "" {
		s.profile = filepath.Join(s.Profile, scenario+"-"+s.redis.fsync)
	}
	return func() { s.profile = "" }
}

// burst measures whole jobs that all come at once.
func (s *suite) burst(ctx context.Context) error {
	defer s.profiled("burst")()
	return s.with(ctx, all, false, func(r *run) error {
		if s.Stored > 0 {
			if _, err := r.burst(ctx, jobsConns); err != nil { // of which the others are copies
				return err
			}
			if err := r.db.fill(ctx, s.Stored); err != nil {
				return err
			}
		}
		b, err := r.burst(ctx, s.Jobs)
		if err != nil {
			return err
		}
		m, err := readMemory(r.pipe.pid)
		if err != nil {
			return err
		}
		s.add("burst.jobs_per_s", float64(b.jobs)/b.elapsed.Seconds())
		s.add("burst.accepted_per_s", b.sent.rate())
		s.add("burst.refused", float64(b.sent.refused))
		s.add("burst.cpu_ms", b.cpu(b.used.pipeline))
		s.add("burst.cpu_postgres_ms", b.cpu(b.used.postgres))
		s.add("burst.cpu_redis_ms", b.cpu(b.used.redis))
		s.add("burst.jobs_per_core_s", 1000/b.cpu(b.used.pipeline+b.used.postgres+b.used.redis))
		s.add("burst.cpu_driver_ms", b.cpu(b.used.driver))
		s.add("burst.memory_mib", float64(m.resident)/(1<<20))
		return nil
	})
}

// delayed is a burst whose callbacks come after a second.
func (s *suite) delayed(ctx context.Context) error {
	s.api.delay.Store(int64(time.Second))
	defer s.api.delay.Store(0)
	return s.with(ctx, all, false, func(r *run) error {
		b, err := r.burst(ctx, s.Jobs)
		if err == nil {
			s.add("delayed.jobs_per_s", float64(b.jobs)/b.elapsed.Seconds())
		}
		return err
	})
}

// paced measures whole jobs that come at a rate.
func (s *suite) paced(ctx context.Context) error {
	defer s.profiled("paced")()
	return s.with(ctx, all, false, func(r *run) error {
		if _, err := r.burst(ctx, jobsConns); err != nil { // connections and caches
			return err
		}
		b, err := r.paced(ctx, int(float64(s.Rate)*s.Span.Seconds()), float64(s.Rate))
		if err != nil {
			return err
		}
		s.add("paced.notified_p50_ms", ms(percentile(b.notified, 50)))
		s.add("paced.notified_p99_ms", ms(percentile(b.notified, 99)))
		s.add("paced.due_p50_ms", ms(percentile(b.notifiedFromDue, 50)))
		s.add("paced.due_p99_ms", ms(percentile(b.notifiedFromDue, 99)))
		s.add("paced.cpu_ms", b.cpu(b.used.pipeline))
		s.add("paced.cpu_postgres_ms", b.cpu(b.used.postgres))
		s.add("paced.cpu_redis_ms", b.cpu(b.used.redis))
		return nil
	})
}

// counted counts what a job costs, in a burst and paced, through a proxy before
// Redis.
func (s *suite) counted(ctx context.Context) error {
	return s.with(ctx, all, true, func(r *run) error {
		b, err := r.burst(ctx, s.Counted)
		if err != nil {
			return err
		}
		s.report.Left[s.redis.fsync] = b.keys
		s.report.Calls[s.redis.fsync] = b.calls()
		for name, n := range b.counts() {
			s.add("job.burst."+name, n)
		}
		b, err = r.paced(ctx, s.Counted, float64(s.Rate))
		if err != nil {
			return err
		}
		for name, n := range b.counts() {
			s.add("job.paced."+name, n)
		}
		return nil
	})
}
