package wait

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/admission"
	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/redisclient"
)

// ErrUnknown: there is no record of that job. It was never accepted, ended
// longer than the retention ago, or its Redis has lost it.
var ErrUnknown = errors.New("unknown job")

// Waits are the records of all jobs whose sweep has not ended, in one Redis. Its methods
// are the steps of a wait, one Lua script each; none calls the trading API. It owns the
// subscription that Watch and Wakes share, and the client where Open has made it. It is
// safe for concurrent use.
type Waits struct {
	// Once is the idempotency keys and claims, which expire by the same Redis and are
	// part of the same scripts.
	*once.Once

	cfg         Config
	redis       redis.UniversalClient
	scripts     redis.Scripter
	keys        keys
	clock       func() time.Time // nil: the time of Redis
	admission   *admission.Admission
	hub         *hub
	redisName   atomic.Pointer[string] // of the Redis that was seen last
	doneActions doneActions
	close       func() error
}

// Option changes what New builds.
type Option func(*Waits)

// WithClock replaces the time of Redis, for tests. Only claims and the expiry of
// records run on the clock of Redis all the same.
func WithClock(now func() time.Time) Option { return func(w *Waits) { w.clock = now } }

// WithScripter runs the steps by another way than the client, such as a writer
// that sends those of many callers together.
func WithScripter(s redis.Scripter) Option { return func(w *Waits) { w.scripts = s } }

// New checks cfg, naming every variable that is wrong, and does no I/O. The
// caller closes the client, and Close first.
func New(client redis.UniversalClient, cfg Config, options ...Option) (*Waits, error) {
	if client == nil {
		return nil, errors.New("wait: redis client is required")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &Waits{cfg: cfg, redis: client, scripts: client, keys: keys{cfg.KeyPrefix}}
	for _, option := range options {
		option(w)
	}
	if w.admission, err = admission.New(w.scripts, w.keys.base(), cfg.limits(), w.clock); err != nil {
		return nil, err
	}
	if w.Once, err = once.New(client, w.scripts, cfg.KeyPrefix); err != nil {
		return nil, err
	}
	w.hub = newHub(w)
	return w, nil
}

// Open makes a client of its own for cfg.RedisURL. It does not wait for Redis
// to answer: Ping tells, and a process that starts before its Redis works as
// soon as that is there.
func Open(_ context.Context, cfg Config, options ...Option) (*Waits, error) {
	client, err := redisclient.New(cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	// Steps of many jobs at the same moment go together.
	w, err := New(client, cfg, append([]Option{WithScripter(redisclient.NewGroup(client))}, options...)...)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	w.close = client.Close
	return w, nil
}

// Close removes the completed actions, ends the subscription of all
// watchers, and closes the client that Open made.
func (w *Waits) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	errs := []error{w.Flush(ctx)}
	w.doneActions.busy.Wait()
	w.hub.stop()
	if w.close != nil {
		errs = append(errs, w.close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close waits: %w", err)
	}
	return nil
}

// Ping reports whether Redis answers.
func (w *Waits) Ping(ctx context.Context) error {
	if err := w.redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	return nil
}

// Config is the configuration in effect, defaults filled in.
func (w *Waits) Config() Config { return w.cfg }

// Now is the time of this process, for what people read. Nothing is decided by it:
// steps take the time of Redis, and Record.At is it.
func (w *Waits) Now() time.Time {
	if w.clock == nil {
		return time.Now()
	}
	return w.clock()
}

// Allow takes one call from the API's budget if no party waits for one. It returns
// 0, or how long there will be none.
func (w *Waits) Allow(ctx context.Context) (time.Duration, error) {
	return w.admission.Allow(ctx)
}

// Pace takes one call from the API's budget, however long that takes. It ends with ctx.
// The call has to be made at once. It makes Waits the pacer of a trading.Client.
func (w *Waits) Pace(ctx context.Context) error { return w.admission.Await(ctx) }

// Report reports the outcome of an API call that no step of a wait reports; see
// admission.Admission.Report.
func (w *Waits) Report(ctx context.Context, b admission.Breaker, ok bool, retryAfter time.Duration) (time.Duration, error) {
	return w.admission.Report(ctx, b, ok, retryAfter)
}

// knownRedis is what a step of before returned as the name of this Redis: one that came
// back empty has another.
func (w *Waits) knownRedis() string {
	if name := w.redisName.Load(); name != nil {
		return *name
	}
	return ""
}

func (w *Waits) sawRedis(reply any) {
	if name, ok := reply.(string); ok && name != w.knownRedis() {
		w.redisName.Store(&name)
	}
}

// run runs one of the package's scripts.
func (w *Waits) run(ctx context.Context, s *redisclient.Script, args ...any) *redis.Cmd {
	return w.admission.Run(ctx, s, args...)
}

// step runs a script that returns {outcome, now, record}.
func (w *Waits) step(ctx context.Context, what string, s *redisclient.Script, jobID, id string, args ...any) (int64, Record, error) {
	reply, err := w.run(ctx, s, append([]any{id}, args...)...).Slice()
	if err != nil {
		return 0, Record{}, fmt.Errorf("%s of job %s: %w", what, jobID, err)
	}
	outcome, r, err := w.decodeStep(jobID, reply)
	if err != nil {
		return outcome, r, fmt.Errorf("%s of job %s: %w", what, jobID, err)
	}
	return outcome, r, nil
}

// Unavailable reports whether err says that the step may succeed later, at whatever
// number of tries: Redis could not be reached or can do nothing now, or the record is for
// processes of a later version.
func Unavailable(err error) bool {
	return redisclient.Unavailable(err) || errors.Is(err, ErrNewer)
}

var errAnswer = errors.New("unexpected redis reply")

func (w *Waits) decodeStep(jobID string, reply []any) (int64, Record, error) {
	if len(reply) < 3 {
		return 0, Record{}, errAnswer
	}
	outcome, _ := reply[0].(int64)
	at, _ := reply[1].(string)
	fields, _ := reply[2].([]any)
	if outcome < 0 || len(fields) == 0 {
		return outcome, Record{}, ErrUnknown
	}
	r, err := w.decode(jobID, fields)
	r.At = time.UnixMilli(number(at)).UTC()
	return outcome, r, err
}

// flag runs a script that returns 0 or 1.
func (w *Waits) flag(ctx context.Context, what string, s *redisclient.Script, jobID string, args ...any) (bool, error) {
	n, err := w.run(ctx, s, args...).Int64()
	if err != nil {
		return false, fmt.Errorf("%s of job %s: %w", what, jobID, err)
	}
	return n == 1, nil
}
