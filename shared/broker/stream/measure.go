package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/zixly/sweepline/shared/broker/cloudevent"
)

// Queue is a Trigger's queue in one partition, or, added up, in all.
type Queue struct {
	Broker  Broker
	Trigger string
	Record  Record
	// Removed: the Trigger has left the set and is kept for the grace period.
	Removed bool
	Paused  bool
	// Lag counts events that nobody has claimed yet, Pending those being delivered,
	// Retries those between two attempts. Together they are all that is not finished.
	Lag, Pending, Retries int64
	// DeadLetters counts those kept.
	DeadLetters int64
	// Age is how long ago the oldest event that is not finished was stored, by Redis'
	// time; 0 if all are.
	Age       time.Duration
	Consumers int64
}

// History is a partition's history.
type History struct {
	Broker    Broker
	Partition int
	Entries   int64
	Bytes     int64
	// FirstID and LastID are empty for an empty history.
	FirstID, LastID string
}

// Queues measures all queues of a Broker, by name. It costs one round trip for each
// partition, however long the queues are.
func (s *Store) Queues(ctx context.Context, b Broker) ([]Queue, error) {
	partitions, err := s.All(ctx, b)
	if err != nil {
		return nil, err
	}
	all := make(map[string]*Queue)
	for _, p := range partitions {
		if err := p.measure(ctx, all); err != nil {
			return nil, fmt.Errorf("measure queues of %s: %w", b, err)
		}
	}
	out := make([]Queue, 0, len(all))
	for _, q := range all {
		out = append(out, *q)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Trigger < out[j].Trigger })
	return out, nil
}

func (p *Partition) measure(ctx context.Context, all map[string]*Queue) error {
	ctx, cancel := p.store.call(ctx)
	defer cancel()
	pipe := p.store.rdb.Pipeline()
	records := pipe.HGetAll(ctx, p.keys.routes())
	removed := pipe.ZRange(ctx, p.keys.of("removed"), 0, -1)
	paused := pipe.SMembersMap(ctx, p.keys.of("paused")) // of partition 0 only
	waiting := pipe.HGetAll(ctx, p.keys.of("waiting"))
	now := pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	type numbers struct {
		length, due, dead *redis.IntCmd
		pending           *redis.XPendingCmd
		first             *redis.XMessageSliceCmd
		groups            *redis.XInfoGroupsCmd
	}
	of := make(map[string]numbers, len(records.Val()))
	pipe = p.store.rdb.Pipeline()
	for name := range records.Val() {
		q := p.keys.queue(name)
		of[name] = numbers{
			length: pipe.XLen(ctx, q), due: pipe.ZCard(ctx, p.keys.due(name)), dead: pipe.ZCard(ctx, p.keys.deadLetters(name)),
			pending: pipe.XPending(ctx, q, group), first: pipe.XRangeN(ctx, q, "-", "+", 1), groups: pipe.XInfoGroups(ctx, q),
		}
	}
	_, _ = pipe.Exec(ctx) // each command's error is looked at
	for name, n := range of {
		if err := n.length.Err(); err != nil {
			return err
		}
		q := all[name]
		if q == nil {
			q = &Queue{Broker: p.Broker, Trigger: name}
			all[name] = q
			if err := json.Unmarshal([]byte(records.Val()[name]), &q.Record); err != nil {
				return fmt.Errorf("trigger %s: %w", name, err)
			}
		}
		q.Removed = q.Removed || slices.Contains(removed.Val(), name)
		if _, ok := paused.Val()[name]; ok {
			q.Paused = true
		}
		behind, _ := strconv.ParseInt(waiting.Val()[name], 10, 64)
		pending := int64(0)
		if n.pending.Err() == nil && n.pending.Val() != nil {
			pending = n.pending.Val().Count
		}
		q.Pending += pending
		q.Retries += n.due.Val()
		q.Lag += max(n.length.Val()-pending-n.due.Val(), 0) + behind
		q.DeadLetters += n.dead.Val()
		for _, g := range n.groups.Val() {
			q.Consumers += g.Consumers
		}
		for _, e := range n.first.Val() {
			id := e.ID
			if o, ok := e.Values["o"].(string); ok {
				id = o
			}
			q.Age = max(q.Age, now.Val().Sub(IDTime(id)))
		}
	}
	return nil
}

// Histories lists the histories of a Broker's partitions.
func (s *Store) Histories(ctx context.Context, b Broker) ([]History, error) {
	partitions, err := s.All(ctx, b)
	if err != nil {
		return nil, err
	}
	var out []History
	for _, p := range partitions {
		h, err := p.measureHistory(ctx)
		if err != nil {
			return nil, fmt.Errorf("read history of %s: %w", b, err)
		}
		out = append(out, h)
	}
	return out, nil
}

func (p *Partition) measureHistory(ctx context.Context) (History, error) {
	ctx, cancel := p.store.call(ctx)
	defer cancel()
	h := History{Broker: p.Broker, Partition: p.Index}
	pipe := p.store.rdb.Pipeline()
	length := pipe.XLen(ctx, p.keys.history())
	bytes := pipe.HGet(ctx, p.keys.meta(), "bytes")
	first := pipe.XRangeN(ctx, p.keys.history(), "-", "+", 1)
	last := pipe.XRevRangeN(ctx, p.keys.history(), "+", "-", 1)
	if _, err := pipe.Exec(ctx); err != nil && !isNil(err) {
		return h, err
	}
	h.Entries = length.Val()
	h.Bytes, _ = bytes.Int64()
	if len(first.Val()) > 0 && len(last.Val()) > 0 {
		h.FirstID, h.LastID = first.Val()[0].ID, last.Val()[0].ID
	}
	return h, nil
}

// Retry is an event between two attempts.
type Retry struct {
	Broker  Broker
	Trigger string
	EntryID string
	State   []byte
	// Due is the next attempt.
	Due   time.Time
	Entry *Entry
}

// Retries lists up to limit events of a Trigger that wait for another attempt, the
// next due first.
func (p *Partition) Retries(ctx context.Context, trigger string, limit int) ([]Retry, error) {
	ctx, cancel := p.store.call(ctx)
	defer cancel()
	due, err := p.store.rdb.ZRangeWithScores(ctx, p.keys.due(trigger), 0, int64(max(limit, 1))-1).Result()
	if err != nil || len(due) == 0 {
		return nil, err
	}
	pipe := p.store.rdb.Pipeline()
	states := make([]*redis.StringCmd, len(due))
	entries := make([]*redis.XMessageSliceCmd, len(due))
	for i, z := range due {
		id, _ := z.Member.(string)
		states[i] = pipe.HGet(ctx, p.keys.retry(trigger), id)
		entries[i] = pipe.XRangeN(ctx, p.keys.queue(trigger), id, id, 1)
	}
	if _, err := pipe.Exec(ctx); err != nil && !isNil(err) {
		return nil, err
	}
	var out []Retry
	for i, z := range due {
		id, _ := z.Member.(string)
		r := Retry{
			Broker: p.Broker, Trigger: trigger, EntryID: id,
			State: []byte(states[i].Val()), Due: time.UnixMilli(int64(z.Score)).UTC(),
		}
		for _, e := range entries[i].Val() {
			if o, ok := e.Values["o"].(string); ok {
				e.ID = o // what its body is kept under
			}
			r.Entry = &Entry{Trigger: trigger, ID: id, Origin: e.ID, State: r.State}
			m, err := p.event(ctx, e)
			if r.Entry.Newer = errors.Is(err, cloudevent.ErrNewer); err != nil && !r.Entry.Newer {
				return nil, err
			}
			r.Entry.Message = m
		}
		out = append(out, r)
	}
	return out, nil
}

// Names lists a Broker's Triggers, and removed ones that have left dead letters.
func (s *Store) Names(ctx context.Context, b Broker) ([]string, error) {
	partitions, err := s.All(ctx, b)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range partitions {
		ctx, cancel := s.call(ctx)
		pipe := s.rdb.Pipeline()
		routes, former := pipe.HKeys(ctx, p.keys.routes()), pipe.SMembers(ctx, p.keys.of("former"))
		_, err := pipe.Exec(ctx)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("list triggers of %s: %w", b, err)
		}
		names = append(append(names, routes.Val()...), former.Val()...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Has reports whether a Trigger is registered.
func (s *Store) Has(ctx context.Context, b Broker, trigger string) (bool, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	ok, err := s.rdb.HExists(ctx, s.Partition(b, 0).keys.routes(), trigger).Result()
	if err != nil {
		return false, fmt.Errorf("find trigger %s: %w", trigger, err)
	}
	return ok, nil
}
