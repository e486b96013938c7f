package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/zixly/sweepline/shared/redisclient"
)

// Reader waits for entries that other processes have put into queues: what this
// process stores it claims in the same step. One Reader holds one connection.
type Reader struct {
	p        *Partition
	consumer string

	mu   sync.Mutex
	conn *redis.Conn
	id   int64 // the connection's, to unblock it; 0 if unknown
}

// NewReader makes a Reader; it does no I/O.
func (p *Partition) NewReader(consumer string) *Reader {
	return &Reader{p: p, consumer: consumer}
}

// Wait blocks until one of the Triggers' queues has new entries, for Config.Block
// at most, and claims one of each. It may return a
// GoneError or ErrLost. It is not cut short when ctx ends: an entry that
// Redis had handed out by then would be lost until taken over. Interrupt cuts it
// short.
func (r *Reader) Wait(ctx context.Context, triggers []string) ([]*Entry, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.p.store.cfg.Block+r.p.store.cfg.RedisTimeout)
	defer cancel()
	conn, err := r.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect reader: %w", err)
	}
	streams := make([]string, 2*len(triggers))
	names := make(map[string]string, len(triggers))
	for i, t := range triggers {
		streams[i], streams[len(triggers)+i] = r.p.keys.queue(t), ">"
		names[streams[i]] = t
	}
	got, err := conn.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: r.consumer, Streams: streams, Count: 1, Block: r.p.store.cfg.Block,
	}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case redisclient.HasCode(err, "NOGROUP"), redisclient.HasCode(err, "UNBLOCKED"):
		return nil, r.regroup(ctx, triggers)
	case err != nil:
		r.disconnect()
		return nil, fmt.Errorf("wait for entries: %w", err)
	}
	var entries []*Entry
	for _, s := range got {
		for _, m := range s.Messages {
			e, err := r.entry(ctx, names[s.Stream], m)
			if err != nil {
				return entries, err
			}
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func (r *Reader) entry(ctx context.Context, trigger string, m redis.XMessage) (*Entry, error) {
	text := func(field string) string { s, _ := m.Values[field].(string); return s }
	payload, ref := text("e"), ""
	origin := text("o")
	if origin == "" {
		origin = m.ID
	}
	if _, apart := m.Values["b"]; apart {
		ref = "1"
		var err error
		if payload, err = r.p.store.rdb.Get(ctx, r.p.keys.of("body:"+origin)).Result(); err != nil && !isNil(err) {
			return nil, fmt.Errorf("read body of an entry: %w", err)
		}
	}
	return decodeEntry([]any{trigger, m.ID, origin, text("k"), ref, payload, ""}), nil
}

// regroup makes missing groups again. Triggers that are not registered any more
// have none.
func (r *Reader) regroup(ctx context.Context, triggers []string) error {
	gone, err := r.p.run(ctx, regroupScript, anys(triggers)...).StringSlice()
	if redisclient.HasCode(err, "LOST") {
		return ErrLost
	}
	if err != nil {
		return fmt.Errorf("create consumer groups: %w", err)
	}
	if len(gone) > 0 {
		return &GoneError{Triggers: gone}
	}
	return nil
}

// ErrLost is returned where Redis has lost the routes: Writer.Restore brings them
// back.
var ErrLost = errors.New("redis has lost the routes")

// GoneError tells of Triggers that are waited for and not registered any more:
// another process, with a later configuration, has removed them.
type GoneError struct{ Triggers []string }

func (e *GoneError) Error() string {
	return "triggers are not registered: " + strings.Join(e.Triggers, ", ")
}

// connect takes a connection of the reader's own and learns its id.
func (r *Reader) connect(ctx context.Context) (*redis.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		return r.conn, nil
	}
	var node *redis.Client
	switch c := r.p.store.blocking.(type) {
	case *redis.Client:
		node = c
	case *redis.ClusterClient:
		master, err := c.MasterForKey(ctx, r.p.keys.meta())
		if err != nil {
			return nil, err
		}
		node = master
	default:
		return nil, fmt.Errorf("redis client is a %T", c)
	}
	conn := node.Conn()
	id, err := conn.ClientID(ctx).Result()
	if err != nil && !redisclient.Reply(err) { // a server that has no such command can't unblock
		return nil, errors.Join(err, conn.Close())
	}
	r.conn, r.id = conn, id
	return conn, nil
}

func (r *Reader) disconnect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		_ = r.conn.Close() // it is of no use any more
		r.conn, r.id = nil, 0
	}
	if c, ok := r.p.store.blocking.(*redis.ClusterClient); ok {
		c.ReloadState(context.Background()) // the partition may have moved
	}
}

// Interrupt ends a Wait under way, so that the next one waits for other Triggers.
func (r *Reader) Interrupt(ctx context.Context) {
	r.mu.Lock()
	id := r.id
	r.mu.Unlock()
	if id == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if c, ok := r.p.store.rdb.(*redis.ClusterClient); ok {
		if node, err := c.MasterForKey(ctx, r.p.keys.meta()); err == nil {
			_ = node.ClientUnblock(ctx, id).Err()
		}
		return
	}
	// If it fails the wait ends by itself, after Config.Block.
	_ = r.p.store.rdb.Do(ctx, "CLIENT", "UNBLOCK", id).Err()
}

// Close gives the connection back.
func (r *Reader) Close() { r.disconnect() }
