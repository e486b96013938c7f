package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

// ceilingSpan is for how long each limit is measured.
const ceilingSpan = time.Second

// Hello answers every request with 202 and a body of the size of the webhook's, on a
// loopback port until ctx ends: the limit of any server made of net/http. It is run
// in a process of its own.
func Hello(ctx context.Context, port int) error {
	body := []byte(`{"job_id":"` + strings.Repeat("x", 36) + `","pad":"` + strings.Repeat("x", 300) + `"}`)
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
		status := http.StatusAccepted
		if r.Method == http.MethodGet {
			status = http.StatusOK
		}
		write(w, status, body)
	})}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// ceilings measures what the machine can do at best, with nothing of ours in it.
func (s *suite) ceilings(ctx context.Context) error {
	for _, f := range []func(context.Context) error{s.ceilingHTTP, s.ceilingRedis, s.ceilingPostgres} {
		if err := f(ctx); err != nil {
			return fmt.Errorf("measure limits: %w", err)
		}
	}
	return nil
}

func (s *suite) ceilingHTTP(ctx context.Context) (err error) {
	p, err := startProgram(ctx, s.program, func(port, _ int) (args, env []string) {
		return []string{"bench", "hello", "--port", strconv.Itoa(port)}, nil
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.awaitHealth(ctx); err != nil {
		return err
	}
	request := same(post(p.host, webhookPath, nil, []byte(sweepBody)))
	before, err := cpuTime(p.pid)
	if err != nil {
		return err
	}
	a, err := during(ctx, ceilingSpan, func(ctx context.Context) (*answers, error) { return closedLoop(ctx, p.host, request, 32, 0) })
	if err != nil {
		return err
	}
	after, err := cpuTime(p.pid)
	if err != nil {
		return err
	}
	s.add("ceiling.http_per_s", a.rate())
	s.add("ceiling.http_cpu_ms", ms(after-before)/float64(len(a.accepted)))
	a, err = during(ctx, ceilingSpan, func(ctx context.Context) (*answers, error) { return closedLoop(ctx, p.host, request, 1, 0) })
	if err != nil {
		return err
	}
	s.add("ceiling.http_ms", ms(percentile(sorted(a.accepted, func(r sent) time.Duration { return r.ended.Sub(r.began) }), 50)))
	return nil
}

// during runs a load until a time is over.
func during(ctx context.Context, span time.Duration, load func(context.Context) (*answers, error)) (*answers, error) {
	timed, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	a, err := load(timed)
	if err == nil {
		err = ctx.Err()
	}
	return a, err
}

func (s *suite) ceilingRedis(ctx context.Context) error {
	const group, conns = 100, 2
	value := strings.Repeat("x", 1000)
	rate := func(queue func(p redis.Pipeliner)) (float64, error) {
		return repeat(conns, func() (int, error) {
			_, err := s.redis.client.Pipelined(ctx, func(p redis.Pipeliner) error {
				for range group {
					queue(p)
				}
				return nil
			})
			return group, err
		})
	}
	add := &redis.XAddArgs{Stream: "bench", MaxLen: 10_000, Approx: true, Values: []string{"e", value}}
	ping, err := rate(func(p redis.Pipeliner) { p.Ping(ctx) })
	if err != nil {
		return err
	}
	xadd, err := rate(func(p redis.Pipeliner) { p.XAdd(ctx, add) })
	if err != nil {
		return err
	}
	one, err := each(func() error { return s.redis.client.XAdd(ctx, add).Err() })
	if err != nil {
		return err
	}
	s.add("ceiling.redis_ping_per_s", ping)
	s.add("ceiling.redis_xadd_per_s", xadd)
	s.add("ceiling.redis_xadd_ms", ms(percentile(one, 50)))
	return nil
}

func (s *suite) ceilingPostgres(ctx context.Context) error {
	d, err := s.pg.create(ctx)
	if err != nil {
		return err
	}
	defer s.pg.drop(context.WithoutCancel(ctx), d)
	pool, err := pgxpool.New(ctx, d.url+"&pool_max_conns=8")
	if err != nil {
		return fmt.Errorf("connect to database: %w", err)
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, "CREATE TABLE one (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text)"); err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	insert := func() error {
		_, err := pool.Exec(ctx, "INSERT INTO one (body) VALUES ($1)", sweepBody)
		return err
	}
	before, err := cpuTime(s.pg.pid)
	if err != nil {
		return err
	}
	n := 0
	var mu sync.Mutex
	rate, err := repeat(8, func() (int, error) {
		mu.Lock()
		n++
		mu.Unlock()
		return 1, insert()
	})
	if err != nil {
		return err
	}
	after, err := cpuTime(s.pg.pid)
	if err != nil {
		return err
	}
	one, err := each(insert)
	if err != nil {
		return err
	}
	s.add("ceiling.pg_insert_per_s", rate)
	s.add("ceiling.pg_insert_cpu_ms", ms(after-before)/float64(n))
	s.add("ceiling.pg_insert_ms", ms(percentile(one, 50)))
	return nil
}

// repeat calls do from conns goroutines for a while, and returns what they did in a
// second.
func repeat(conns int, do func() (int, error)) (float64, error) {
	began := time.Now()
	done, errs := make([]int, conns), make([]error, conns)
	var wg sync.WaitGroup
	for k := range conns {
		wg.Go(func() {
			for time.Since(began) < ceilingSpan && errs[k] == nil {
				var n int
				n, errs[k] = do()
				done[k] += n
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range done {
		total += n
	}
	return float64(total) / time.Since(began).Seconds(), errors.Join(errs...)
}

// each calls do over and over for a while, and returns how long each took, sorted.
func each(do func() error) ([]time.Duration, error) {
	var d []time.Duration
	for began := time.Now(); time.Since(began) < ceilingSpan; {
		at := time.Now()
		if err := do(); err != nil {
			return nil, err
		}
		d = append(d, time.Since(at))
	}
	slices.Sort(d)
	return d, nil
}
