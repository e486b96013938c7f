package broker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// entry is one event on its way to one subscriber. It is owned by the goroutine
// that delivers it.
type entry struct {
	id      string
	payload string
	msg     *message
	state   retryState
	// leased says that the entry comes from the retry set, not from the group.
	leased bool
}

// lane is one Trigger on one stream.
type lane struct {
	sub  *subscription
	srv  *Server
	part partition
	held *holdings
	acks *acker
	// chains is set where the Trigger asks for order.
	chains *chains
	// wakeRetries tells the retry loop of a new due time.
	wakeRetries chan struct{}
	// deliveries in flight
	wg sync.WaitGroup
	// last is the last id read, where a lost group goes on. Only the reader
	// touches it.
	last string
}

func newLane(sub *subscription, p partition) *lane {
	l := &lane{
		sub: sub, srv: sub.srv, part: p,
		held:        newHoldings(),
		wakeRetries: make(chan struct{}, 1),
		last:        "0-0",
	}
	l.acks = newAcker(l)
	if sub.trigger.Ordered {
		l.chains = newChains(l)
	}
	return l
}

// run reads until reading ends, calls stopped, and returns when all that was in
// flight has finished or work has ended.
func (l *lane) run(reading, work context.Context, stopped func()) {
	keeping, stopKeeping := context.WithCancel(work)
	acking, stopAcking := context.WithCancel(work)
	var sources, upkeep sync.WaitGroup
	upkeep.Go(func() { l.acks.loop(acking) })
	upkeep.Go(func() { l.keep(keeping) })

	if l.chains != nil {
		sources.Go(func() { l.lead(reading, work) })
	} else {
		sources.Go(func() { l.read(reading, work) })
		sources.Go(func() { l.recover(reading, work) })
		sources.Go(func() { l.redeliver(reading, work) })
	}
	sources.Wait()
	stopped()

	l.wg.Wait()   // deliveries in flight
	stopAcking()  // after the acker has written what it has
	stopKeeping() // claims are renewed until nothing is in flight
	upkeep.Wait()
	l.giveBack(context.WithoutCancel(work))
}

// read takes new entries of the group, batch by batch.
func (l *lane) read(reading, work context.Context) {
	count := min(max(cap(l.sub.slots), 16), 256)
	wait := newBackoff(50*time.Millisecond, 2*time.Second)
	for l.sub.whileRunning(reading) {
		entries, err := l.fetch(reading, int64(count))
		if err != nil {
			if reading.Err() != nil {
				return
			}
			l.readFailed(reading, err)
			if !wait.sleep(reading) {
				return
			}
			continue
		}
		wait.reset()
		if len(entries) > 0 {
			l.last = entries[len(entries)-1].ID
			l.accept(reading, work, entries)
		}
	}
}

// fetch blocks in Redis for up to Config.Block. It is not cut short when reading
// ends: an entry that Redis had handed out by then would be lost until claimed.
func (l *lane) fetch(ctx context.Context, count int64) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.srv.cfg.Block+l.srv.cfg.RedisTimeout)
	defer cancel()
	streams, err := l.srv.readers.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: l.sub.trigger.Name, Consumer: l.srv.consumer,
		Streams: []string{l.part.stream(), ">"},
		Count:   count, Block: l.srv.cfg.Block,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil || len(streams) == 0 {
		return nil, err
	}
	return streams[0].Messages, nil
}

// readFailed recreates a group that has gone (a flush, a restore), from where
// this process had read to: nothing stored since is missed.
func (l *lane) readFailed(ctx context.Context, err error) {
	// UNBLOCKED is what a waiting reader gets when the stream or group goes.
	if hasCode(err, "NOGROUP") || hasCode(err, "UNBLOCKED") {
		err = l.srv.restore(ctx, l.sub.trigger, l.part, l.last)
		if err == nil {
			l.srv.log.WarnContext(ctx, "Consumer group was missing and is made again",
				"trigger", l.sub.trigger.key().String(), "after", l.last)
			return
		}
	}
	l.srv.log.WarnContext(ctx, "Stream cannot be read", "trigger", l.sub.trigger.key().String(), "error", err)
}

// accept filters what was read or claimed and starts the deliveries. It blocks
// while the Trigger's slots are taken. What it cannot start before reading ends
// stays pending.
func (l *lane) accept(reading, work context.Context, read []redis.XMessage) {
	matched := make([]*entry, 0, len(read))
	for i := range read {
		id := read[i].ID
		if !l.held.add(id, false) {
			continue // claimed from ourselves: it is in flight
		}
		e, ok := l.open(work, id, read[i].Values)
		if !ok {
			l.acks.done(id, false)
			continue
		}
		if !l.sub.trigger.Filter.Match(e.msg) {
			l.sub.metrics.filtered.Inc()
			l.acks.done(id, false)
			continue
		}
		matched = append(matched, e)
	}
	l.submit(reading, work, matched)
}

// open decodes an entry. A corrupt one can never be delivered: it is counted,
// logged and acknowledged.
func (l *lane) open(ctx context.Context, id string, values map[string]any) (*entry, bool) {
	payload, ok := values["e"].(string)
	if !ok && values == nil {
		l.sub.metrics.deleted.Inc()
		l.srv.log.WarnContext(ctx, "Pending entry was deleted", "trigger", l.sub.trigger.key().String(), "entry_id", id)
		return nil, false
	}
	m, err := decode(payload)
	if err != nil {
		l.sub.metrics.corrupt.Inc()
		l.srv.log.ErrorContext(ctx, "Entry is corrupt and is skipped",
			"trigger", l.sub.trigger.key().String(), "entry_id", id, "error", err)
		return nil, false
	}
	return &entry{id: id, payload: payload, msg: m}, true
}

// submit delivers entries concurrently, each (or each batch) in a slot.
func (l *lane) submit(reading, work context.Context, entries []*entry) {
	if l.chains != nil {
		l.chains.submit(reading, work, entries)
		return
	}
	size := max(l.sub.trigger.BatchSize, 1)
	for len(entries) > 0 {
		if !l.sub.whileRunning(reading) || !l.sub.acquire(reading) {
			return // they stay held, and are given back at the end
		}
		n := min(size, len(entries))
		batch := entries[:n]
		entries = entries[n:]
		l.wg.Go(func() {
			defer l.sub.release()
			if len(batch) == 1 {
				l.process(work, batch[0])
				return
			}
			l.processBatch(work, batch)
		})
	}
}
