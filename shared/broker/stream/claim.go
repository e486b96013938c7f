package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/zixly/sweepline/shared/redisclient"
)

// Beat shows that the consumer is alive, for Config.ClaimIdle. It returns false
// where the last heartbeat had run out: others may have taken over its entries.
func (p *Partition) Beat(ctx context.Context, consumer string) (bool, error) {
	ctx, cancel := p.store.call(ctx)
	defer cancel()
	was, err := p.run(ctx, beatScript, consumer, p.store.cfg.ClaimIdle.Milliseconds()).Int()
	if err != nil {
		return false, fmt.Errorf("write heartbeat: %w", err)
	}
	return was == 1, nil
}

// Retire takes a consumer that has nothing pending out of the Triggers' groups and
// ends its heartbeat.
func (p *Partition) Retire(ctx context.Context, consumer string, triggers []string) error {
	ctx, cancel := p.store.call(ctx)
	defer cancel()
	if err := p.run(ctx, retireScript, append([]any{consumer}, anys(triggers)...)...).Err(); err != nil {
		return fmt.Errorf("retire consumer: %w", err)
	}
	return p.run(ctx, beatScript, consumer, 0).Err()
}

// Takeover takes entries over from dead consumers, as many of each Trigger as
// wanted. It also returns the Triggers of which there may be more.
func (p *Partition) Takeover(ctx context.Context, consumer string, wants []Want) ([]*Entry, []string, error) {
	ctx, cancel := p.store.call(context.WithoutCancel(ctx)) // what was taken over has to be known
	defer cancel()
	answer, err := p.run(ctx, takeoverScript, wantArgs(consumer, wants)...).Slice()
	if err != nil {
		return nil, nil, fmt.Errorf("take over entries: %w", err)
	}
	if len(answer) != 2 {
		return nil, nil, fmt.Errorf("take over entries: %d values in the answer", len(answer))
	}
	var more []string
	list, _ := answer[1].([]any)
	for _, v := range list {
		if name, ok := v.(string); ok {
			more = append(more, name)
		}
	}
	return decodeEntries(answer[0]), more, nil
}

// Due claims retries that are due, as many of each Trigger as wanted. It returns
// how long it is until the next one is due, negative if there is none, and how many
// were dropped since their entry was deleted.
func (p *Partition) Due(ctx context.Context, consumer string, wants []Want) (entries []*Entry, next time.Duration, lost int64, err error) {
	ctx, cancel := p.store.call(context.WithoutCancel(ctx))
	defer cancel()
	answer, err := p.run(ctx, dueScript, wantArgs(consumer, wants)...).Slice()
	if err != nil {
		return nil, 0, 0, fmt.Errorf("claim retries: %w", err)
	}
	if len(answer) != 3 {
		return nil, 0, 0, fmt.Errorf("claim retries: %d values in the answer", len(answer))
	}
	text, _ := answer[1].(string)
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("claim retries: %w", err)
	}
	lost, _ = answer[2].(int64)
	return decodeEntries(answer[0]), time.Duration(ms) * time.Millisecond, lost, nil
}

func wantArgs(consumer string, wants []Want) []any {
	args := make([]any, 1, 1+2*len(wants))
	args[0] = consumer
	for _, w := range wants {
		args = append(args, w.Trigger, w.Count)
	}
	return args
}

func decodeEntries(v any) []*Entry {
	list, _ := v.([]any)
	out := make([]*Entry, 0, len(list))
	for _, v := range list {
		if e := decodeEntry(v); e != nil {
			out = append(out, e)
		}
	}
	return out
}

// pageSize is how many pending entries are looked at with one call.
const pageSize = 100

// Unknown finds entries of a Trigger that are pending under the consumer and that
// held does not know, at least idle after they were claimed: a claim whose answer
// was lost, or those of a predecessor of the same name.
func (p *Partition) Unknown(ctx context.Context, trigger, consumer string, idle time.Duration, held func(id string) bool) ([]*Entry, error) {
	var out []*Entry
	err := p.eachPending(ctx, trigger, consumer, func(ctx context.Context, page []redis.XPendingExt) error {
		var ids []any
		for _, e := range page {
			if e.Idle >= idle && !held(e.ID) {
				ids = append(ids, e.ID)
			}
		}
		if len(ids) == 0 {
			return nil
		}
		answer, err := p.run(ctx, fetchScript, append([]any{trigger, consumer}, ids...)...).Slice()
		if err != nil {
			return err
		}
		out = append(out, decodeEntries(answer)...)
		return nil
	})
	return out, err
}

// Pending returns the ids of all entries that are pending under the consumer.
func (p *Partition) Pending(ctx context.Context, trigger, consumer string) (map[string]bool, error) {
	ids := make(map[string]bool)
	err := p.eachPending(ctx, trigger, consumer, func(_ context.Context, page []redis.XPendingExt) error {
		for _, e := range page {
			ids[e.ID] = true
		}
		return nil
	})
	return ids, err
}

func (p *Partition) eachPending(ctx context.Context, trigger, consumer string, do func(context.Context, []redis.XPendingExt) error) error {
	start := "-"
	for {
		call, cancel := p.store.call(ctx)
		page, err := p.store.rdb.XPendingExt(call, &redis.XPendingExtArgs{
			Stream: p.keys.queue(trigger), Group: group, Start: start, End: "+", Count: pageSize, Consumer: consumer,
		}).Result()
		if err == nil && len(page) > 0 {
			err = do(call, page)
		}
		cancel()
		if errors.Is(err, redis.Nil) || redisclient.HasCode(err, "NOGROUP") {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list pending entries: %w", err)
		}
		if len(page) < pageSize {
			return nil
		}
		start = "(" + page[len(page)-1].ID
	}
}

// MarkUncertain notes that claims may have been made whose answer was lost.
func (w *Writer) MarkUncertain() { w.uncertain.Store(true) }

// TakeUncertain reports, once, whether claims may have been made whose answer was
// lost: a call has failed, or a connection broke, perhaps after Redis had done what was
// asked. The client repeats such a call by itself, and the repeat claims other entries.
func (w *Writer) TakeUncertain() bool {
	broken := w.p.store.broken.Load()
	failed := w.uncertain.Swap(false)
	return w.broken.Swap(broken) != broken || failed
}
