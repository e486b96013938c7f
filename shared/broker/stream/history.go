package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
)

const (
	// trimPage is how many entries of history one trim looks at, so that Redis is
	// never kept from other work for long.
	trimPage = 500
	fillPage = 200
)

// Trim removes history that is over its bounds. It returns how many entries.
func (p *Partition) Trim(ctx context.Context) (int64, error) {
	return p.trim(ctx, p.store.cfg.HistoryAge, p.store.cfg.HistoryBytes)
}

func (p *Partition) trim(ctx context.Context, age time.Duration, bytes int64) (int64, error) {
	var all int64
	for {
		call, cancel := p.store.call(ctx)
		answer, err := p.run(call, trimScript, age.Milliseconds(), bytes, trimPage).Slice()
		cancel()
		if err != nil {
			return all, fmt.Errorf("trim history: %w", err)
		}
		n, _ := answer[0].(int64)
		all += n
		if more, _ := answer[1].(string); more == "" {
			return all, nil
		}
	}
}

// shrink removes the older half of the history: Redis is out of memory, and
// accepting events matters more than history.
func (p *Partition) shrink(ctx context.Context) error {
	bytes, err := p.store.rdb.HGet(ctx, p.keys.meta(), "bytes").Int64()
	if err != nil && !isNil(err) {
		return err
	}
	_, err = p.trim(ctx, p.store.cfg.HistoryAge, bytes/2)
	return err
}

// Purge removes Triggers that have been gone for longer than grace. Those in serves, which
// this process has in its configuration, are held: they are not gone for as long as it
// lives, whatever another process has registered. It returns the names of both.
func (p *Partition) Purge(ctx context.Context, grace time.Duration, serves map[string]bool) (done, held []string, err error) {
	call, cancel := p.store.call(ctx)
	defer cancel()
	gone, err := p.store.rdb.ZRange(call, p.keys.of("removed"), 0, -1).Result()
	if err != nil {
		return nil, nil, fmt.Errorf("list removed triggers: %w", err)
	}
	purging, err := p.store.rdb.SMembers(call, p.keys.of("purging")).Result()
	if err != nil {
		return nil, nil, fmt.Errorf("list removed triggers: %w", err)
	}
	names := purging
	for _, name := range gone {
		if serves[name] {
			held = append(held, name)
		} else {
			names = append(names, name)
		}
	}
	if len(held) > 0 {
		if err := p.run(call, holdScript, anys(held)...).Err(); err != nil {
			return nil, nil, fmt.Errorf("hold removed triggers: %w", err)
		}
	}
	for _, name := range names {
		for {
			call, cancel := p.store.call(ctx)
			n, err := p.run(call, purgeScript, name, grace.Milliseconds(), trimPage).Int()
			cancel()
			if err != nil {
				return done, held, fmt.Errorf("remove trigger %s: %w", name, err)
			}
			if n == 1 {
				done = append(done, name)
			}
			if n != 0 {
				break
			}
		}
	}
	return done, held, nil
}

// Replay has the history since then copied into a Trigger's queue by whoever
// delivers it. It may return ErrNotFound.
func (p *Partition) Replay(ctx context.Context, trigger string, since time.Time) error {
	ctx, cancel := p.store.call(ctx)
	defer cancel()
	n, err := p.run(ctx, replayScript, trigger, beforeTime(since)).Int()
	if err != nil {
		return fmt.Errorf("replay %s: %w", trigger, err)
	}
	if n == 0 {
		return fmt.Errorf("trigger %s: %w", trigger, ErrNotFound)
	}
	return nil
}

// Fill copies one page of history into a Trigger's queue, where a replay or a start
// in the past asks for it. It returns whether it has copied one and whether there
// is more.
func (p *Partition) Fill(ctx context.Context, trigger string) (more, did bool, err error) {
	ctx, cancel := p.store.call(ctx)
	defer cancel()
	state, err := p.store.rdb.HMGet(ctx, p.keys.fill(trigger), "after", "to").Result()
	if err != nil {
		return false, false, fmt.Errorf("read replay of %s: %w", trigger, err)
	}
	after, ok := state[0].(string)
	to, _ := state[1].(string)
	if !ok {
		return false, false, nil
	}
	table, err := p.loadRoutes(ctx)
	if err != nil {
		return false, false, err
	}
	var r *route
	for i := range table.list {
		if table.list[i].name == trigger {
			r = &table.list[i]
		}
	}
	if r == nil {
		return false, false, nil
	}
	page, err := p.store.rdb.XRangeN(ctx, p.keys.history(), "("+after, to, fillPage).Result()
	if err != nil {
		return false, false, fmt.Errorf("read history: %w", err)
	}
	next, order := "", ""
	if len(page) == fillPage {
		next = page[len(page)-1].ID
	}
	if r.ordered {
		order = "1"
	}
	args := []any{trigger, after, next, order}
	for _, e := range page {
		m, err := p.event(ctx, e)
		if err != nil {
			return false, false, err
		}
		if m != nil && r.filter.Match(m) {
			args = append(args, e.ID, orderKey(m))
		}
	}
	if err := p.run(ctx, fillScript, args...).Err(); err != nil {
		return false, false, fmt.Errorf("copy history: %w", err)
	}
	return next != "", true, nil
}

// event decodes an entry of history; nil where it is corrupt. One of a later version is
// an error: whoever can read it goes on.
func (p *Partition) event(ctx context.Context, e redis.XMessage) (*cloudevent.Message, error) {
	payload, _ := e.Values["e"].(string)
	if _, apart := e.Values["b"]; apart {
		var err error
		if payload, err = p.store.rdb.Get(ctx, p.keys.of("body:"+e.ID)).Result(); err != nil && !isNil(err) {
			return nil, fmt.Errorf("read body of an event: %w", err)
		}
	}
	m, err := cloudevent.Decode(payload)
	if errors.Is(err, cloudevent.ErrNewer) {
		return nil, fmt.Errorf("read event %s: %w", e.ID, err)
	}
	return m, nil // a corrupt one is counted where it is delivered
}

// Known reports which of the events this partition has stored within the
// deduplication window.
func (p *Partition) Known(ctx context.Context, messages []*cloudevent.Message) ([]bool, error) {
	ctx, cancel := p.store.call(ctx)
	defer cancel()
	cmds := make([]*redis.IntCmd, len(messages))
	_, err := p.store.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, m := range messages {
			cmds[i] = pipe.Exists(ctx, p.keys.seen(m.Digest()))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for repeats: %w", err)
	}
	known := make([]bool, len(messages))
	for i, cmd := range cmds {
		known[i] = cmd.Val() > 0
	}
	return known, nil
}
