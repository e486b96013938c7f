package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/redisclient"
)

// Config tunes a Store. Every field must be set but those that say so.
type Config struct {
	// Prefix begins every key.
	Prefix string
	// DedupWindow is how long an event's identity is remembered.
	DedupWindow time.Duration
	// QueueCap is the number of entries of one Trigger's queue in one partition at
	// which published events are refused. Accepted work has room beyond it.
	QueueCap int64
	// HistoryBytes and HistoryAge bound what is kept for replay, per partition.
	HistoryBytes int64
	HistoryAge   time.Duration
	// BodyBytes is the size from which an event is kept once for all Triggers.
	BodyBytes int
	// ClaimIdle is how long a consumer lives after its last heartbeat.
	ClaimIdle time.Duration
	// Block is the longest a read waits in Redis.
	Block time.Duration
	// RedisTimeout bounds one call.
	RedisTimeout time.Duration
	// WaitReplicas makes every commit wait for that many replicas; may be 0.
	WaitReplicas int
	// Journal, if set, is called with each group of events before it is stored.
	Journal func(context.Context, []event.Event) error
}

var (
	// ErrFull is backpressure: a queue that the event goes to is at its cap.
	ErrFull = errors.New("queue is at its cap")
	// ErrNoMemory is Redis at its maxmemory.
	ErrNoMemory = errors.New("redis is out of memory")
	// ErrBusy is backpressure: more waits to be stored than this process may hold.
	ErrBusy = errors.New("too many events wait to be stored")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("broker is closed")
	// ErrNotFound is returned for a dead letter, Trigger or Broker that is not there
	// (any more).
	ErrNotFound = errors.New("not found")
	// ErrLayout is wrapped where Redis holds data of another version of the layout.
	ErrLayout = errors.New("redis holds data of another layout version: drain it with the version that wrote it, " +
		"then remove its keys")
)

// Store is the broker's Redis. It is safe for concurrent use.
type Store struct {
	cfg Config
	// rdb does the calls, blocking those that wait in Redis.
	rdb, blocking redis.UniversalClient
	owned         []redis.UniversalClient
	// broken counts connections that failed in use, perhaps with the answer to a call that
	// the client then made again by itself.
	broken atomic.Int64
}

// blockingPool bounds the connections that wait in Redis, one for each partition
// that is read. It is a ceiling: connections are opened as they are needed.
const blockingPool = 4096

// Open makes a Store with connections of its own to the servers of client. It does
// no I/O.
func Open(cfg Config, client redis.UniversalClient) *Store {
	s := &Store{cfg: cfg}
	var own bool
	broken := func() { s.broken.Add(1) }
	if s.rdb, own = clone(client, cfg.RedisTimeout, 64, broken); own {
		s.owned = append(s.owned, s.rdb)
	}
	if s.blocking, own = clone(client, cfg.RedisTimeout, blockingPool, broken); own {
		s.owned = append(s.owned, s.blocking)
	}
	return s
}

// Use makes a Store on a client that stays its owner's: for what only looks.
func Use(cfg Config, client redis.UniversalClient) *Store {
	return &Store{cfg: cfg, rdb: client, blocking: client}
}

// Close closes the connections.
func (s *Store) Close() error {
	var errs []error
	for _, c := range s.owned {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Ping reports whether Redis answers: in a Redis Cluster, every primary.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RedisTimeout)
	defer cancel()
	return ping(ctx, s.rdb)
}

// Check reports whether Redis is of the kind that the client was made for (else
// the error wraps ErrMisnamed) and keeps what it acknowledges (else ErrNotDurable).
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	if err := errors.Join(ping(ctx, s.rdb), checkKind(ctx, s.rdb)); err != nil {
		return err
	}
	return checkDurability(ctx, s.rdb)
}

// call leaves room for the one repeat that the client makes after a broken
// connection.
func (s *Store) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 2*s.cfg.RedisTimeout)
}

// Partition is one partition of a Broker.
type Partition struct {
	Broker Broker
	Index  int

	store *Store
	keys  keys
}

// Partition names a partition; it does no I/O.
func (s *Store) Partition(b Broker, index int) *Partition {
	return &Partition{Broker: b, Index: index, store: s, keys: newKeys(s.cfg.Prefix, b, index)}
}

// All returns the partitions that a Broker has.
func (s *Store) All(ctx context.Context, b Broker) ([]*Partition, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	n, err := s.rdb.HGet(ctx, newKeys(s.cfg.Prefix, b, 0).meta(), "partitions").Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("count partitions of %s: %w", b, err)
	}
	all := make([]*Partition, max(n, 1))
	for i := range all {
		all[i] = s.Partition(b, i)
	}
	return all, nil
}

// Brokers lists the Brokers that have data, by name.
func (s *Store) Brokers(ctx context.Context) ([]Broker, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	names, err := s.rdb.SMembers(ctx, brokersKey(s.cfg.Prefix)).Result()
	if err != nil {
		return nil, fmt.Errorf("list brokers: %w", err)
	}
	slices.Sort(names)
	all := make([]Broker, 0, len(names))
	for _, name := range names {
		if b, ok := parseBroker(name); ok {
			all = append(all, b)
		}
	}
	return all, nil
}

// run calls a script on the partition.
func (p *Partition) run(ctx context.Context, script *redisclient.Script, args ...any) *redis.Cmd {
	return script.Run(ctx, p.store.rdb, []string{p.keys.meta()}, args...)
}

func anys[T any](ss []T) []any {
	out := make([]any, len(ss))
	for i, s := range ss {
		out[i] = s
	}
	return out
}

// Purge removes all that Redis holds of a Broker. No process may serve it any more.
func (s *Store) Purge(ctx context.Context, b Broker) error {
	if err := b.Validate(); err != nil { // or the pattern would match others
		return fmt.Errorf("purge broker: %w", err)
	}
	pattern := s.cfg.Prefix + "{" + b.String() + "/*}:*"
	err := eachNode(ctx, s.rdb, func(ctx context.Context, node redis.UniversalClient) error {
		scan := node.Scan(ctx, 0, pattern, 1000).Iterator()
		for scan.Next(ctx) {
			if err := s.rdb.Unlink(ctx, scan.Val()).Err(); err != nil {
				return err
			}
		}
		return scan.Err()
	})
	if err == nil {
		err = s.rdb.SRem(ctx, brokersKey(s.cfg.Prefix), b.String()).Err()
	}
	if err != nil {
		return fmt.Errorf("purge broker %s: %w", b, err)
	}
	return nil
}
