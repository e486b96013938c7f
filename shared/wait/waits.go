package wait

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/connect"
)

// ErrUnknown: there is no record of that job. It was never taken in, ended
// longer than the retention ago, or its Redis has lost it.
var ErrUnknown = errors.New("unknown job")

// Waits is safe for concurrent use.
type Waits struct {
	cfg   Config
	redis redis.UniversalClient
	keys  keys
	now   func() time.Time
	board *board
	close func() error
}

// Option changes what New builds.
type Option func(*Waits)

// WithClock replaces the wall clock. Only claims and the expiry of records run
// on the clock of Redis.
func WithClock(now func() time.Time) Option { return func(w *Waits) { w.now = now } }

// New checks cfg, naming every variable that is wrong, and does no I/O. The
// caller closes the client, and Close first.
func New(client redis.UniversalClient, cfg Config, options ...Option) (*Waits, error) {
	if client == nil {
		return nil, errors.New("waits need a redis client")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &Waits{cfg: cfg, redis: client, keys: keys{cfg.KeyPrefix, cfg.Shards}, now: time.Now}
	for _, option := range options {
		option(w)
	}
	w.board = newBoard(w)
	return w, nil
}

// Open makes a client of its own for cfg.RedisURL. It does not wait for Redis
// to answer: Ping tells, and a process that starts before its Redis works as
// soon as that is there.
func Open(_ context.Context, cfg Config, options ...Option) (*Waits, error) {
	client, err := connect.Redis(cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	w, err := New(client, cfg, options...)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	w.close = client.Close
	return w, nil
}

// Close ends the subscription of all watchers, and the client that Open made.
func (w *Waits) Close() error {
	w.board.stop()
	if w.close == nil {
		return nil
	}
	if err := w.close(); err != nil {
		return fmt.Errorf("close redis: %w", err)
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

// Now is the time by the clock that deadlines are measured with.
func (w *Waits) Now() time.Time { return w.now() }

func (w *Waits) ms() int64 { return w.now().UnixMilli() }

func (w *Waits) after(d time.Duration) int64 { return w.now().Add(d).UnixMilli() }

// step runs a script that returns {outcome, record}.
func (w *Waits) step(ctx context.Context, what string, s *redis.Script, jobID, id string, args ...any) (int64, Record, error) {
	reply, err := s.Run(ctx, w.redis, w.keys.of(id), append([]any{id}, args...)...).Slice()
	if err != nil {
		return 0, Record{}, fmt.Errorf("%s of job %s: %w", what, jobID, err)
	}
	if len(reply) != 2 {
		return 0, Record{}, fmt.Errorf("%s of job %s: unexpected answer", what, jobID)
	}
	outcome, _ := reply[0].(int64)
	fields, _ := reply[1].([]any)
	if outcome < 0 || len(fields) == 0 {
		return outcome, Record{}, fmt.Errorf("%s of job %s: %w", what, jobID, ErrUnknown)
	}
	r, err := w.decode(jobID, fields)
	if err != nil {
		return outcome, Record{}, fmt.Errorf("%s of job %s: %w", what, jobID, err)
	}
	return outcome, r, nil
}

// flag runs a script that returns 0 or 1.
func (w *Waits) flag(ctx context.Context, what string, s *redis.Script, jobID string, keys []string, args ...any) (bool, error) {
	n, err := s.Run(ctx, w.redis, keys, args...).Int64()
	if err != nil {
		return false, fmt.Errorf("%s of job %s: %w", what, jobID, err)
	}
	return n == 1, nil
}
