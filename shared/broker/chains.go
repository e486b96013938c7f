package broker

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// chainsWaiting bounds the entries that wait behind others of their key. When
// that many wait, reading waits too.
const chainsWaiting = 1024

// chains keep the events of one partition key in stream order: one is in flight
// (or waits for its retry), the others wait behind it. Events without a
// partition key have no order.
type chains struct {
	lane *lane
	room chan struct{}

	mu   sync.Mutex
	keys map[string]*chain
}

type chain struct {
	// head is the entry id in flight or in the retry set.
	head    string
	waiting []*entry
	next    func(*entry)
}

func newChains(l *lane) *chains {
	return &chains{lane: l, room: make(chan struct{}, chainsWaiting), keys: make(map[string]*chain)}
}

func orderKey(e *entry) string {
	if k := e.msg.get("partitionkey"); k != "" {
		return k
	}
	return "\x00" + e.id
}

// submit starts what is first of its key and queues the rest.
func (c *chains) submit(reading, work context.Context, entries []*entry) {
	for _, e := range entries {
		if !c.lane.sub.whileRunning(reading) {
			return
		}
		start := func(e *entry) {
			c.lane.wg.Go(func() {
				if !c.lane.sub.whileRunning(reading) || !c.lane.sub.acquire(reading) {
					return
				}
				defer c.lane.sub.release()
				c.lane.process(work, e)
			})
		}
		if c.enter(e) {
			start(e)
			continue
		}
		select {
		case c.room <- struct{}{}:
		case <-reading.Done():
			return
		}
		c.wait(e, start)
	}
}

// enter reports whether e may start: its key is free, or e is what holds it.
func (c *chains) enter(e *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.keys[orderKey(e)]
	if ch == nil {
		c.keys[orderKey(e)] = &chain{head: e.id}
		return true
	}
	return ch.head == e.id
}

func (c *chains) wait(e *entry, start func(*entry)) {
	c.mu.Lock()
	ch := c.keys[orderKey(e)]
	if ch != nil {
		ch.waiting = append(ch.waiting, e)
		ch.next = start
		c.mu.Unlock()
		return
	}
	c.keys[orderKey(e)] = &chain{head: e.id} // freed meanwhile
	c.mu.Unlock()
	<-c.room
	start(e)
}

// advance starts what waits behind e, which has finished.
func (c *chains) advance(e *entry) {
	c.mu.Lock()
	ch := c.keys[orderKey(e)]
	if ch == nil || ch.head != e.id {
		c.mu.Unlock()
		return
	}
	if len(ch.waiting) == 0 {
		delete(c.keys, orderKey(e))
		c.mu.Unlock()
		return
	}
	// A redriven event, which is older, goes before what was read later.
	sort.SliceStable(ch.waiting, func(i, j int) bool { return lessID(ch.waiting[i].id, ch.waiting[j].id) })
	next, start := ch.waiting[0], ch.next
	ch.waiting = ch.waiting[1:]
	ch.head = next.id
	c.mu.Unlock()
	<-c.room
	start(next)
}

// reset forgets all chains, with the waiting entries, when the lead has ended.
func (c *chains) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.keys {
		for range ch.waiting {
			<-c.room
		}
	}
	c.keys = make(map[string]*chain)
}

// lead reads for an ordered Trigger while this process is its leader on this
// stream. There is one at a time: the order of a key cannot be kept by two that
// do not know of each other. When a leader dies the next one begins after
// Config.ClaimIdle.
func (l *lane) lead(reading, work context.Context) {
	for l.sub.whileRunning(reading) {
		if l.takeLead(reading) {
			l.leadOnce(reading, work)
		}
		if !sleep(reading, l.srv.cfg.ClaimIdle/3) {
			return
		}
	}
}

func (l *lane) takeLead(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, l.srv.cfg.RedisTimeout)
	defer cancel()
	n, err := leadScript.Run(ctx, l.srv.rdb, []string{l.part.leader(l.sub.trigger.Name)},
		l.srv.consumer, l.srv.cfg.ClaimIdle.Milliseconds()).Int()
	if err != nil && ctx.Err() == nil {
		l.srv.log.WarnContext(ctx, "Lead of an ordered trigger cannot be taken",
			"trigger", l.sub.trigger.key().String(), "error", err)
	}
	return err == nil && n == 1
}

func (l *lane) leadOnce(reading, work context.Context) {
	leading, stop := context.WithCancel(reading)
	defer stop()
	var loops sync.WaitGroup
	loops.Go(func() { l.renewLead(leading, stop) })
	if err := l.inherit(leading, work); err != nil {
		l.srv.log.WarnContext(leading, "Ordered trigger cannot be taken up",
			"trigger", l.sub.trigger.key().String(), "error", err)
		stop()
	}
	loops.Go(func() { l.redeliver(leading, work) })
	l.read(leading, work)
	stop()
	loops.Wait()
	l.wg.Wait() // deliveries in flight
	l.chains.reset()
	l.giveBack(context.WithoutCancel(work))
	ctx, cancel := l.srv.call(context.WithoutCancel(work))
	defer cancel()
	// If it cannot be given up it runs out.
	_ = resignScript.Run(ctx, l.srv.rdb, []string{l.part.leader(l.sub.trigger.Name)}, l.srv.consumer).Err()
}

// renewLead stops the leading when the lead is lost or cannot be renewed in time.
func (l *lane) renewLead(leading context.Context, stop context.CancelFunc) {
	last := time.Now()
	for sleep(leading, l.srv.cfg.ClaimIdle/3) {
		if l.takeLead(leading) {
			last = time.Now()
		} else if leading.Err() == nil && time.Since(last) > l.srv.cfg.ClaimIdle*2/3 {
			l.srv.log.WarnContext(leading, "Lead of an ordered trigger is lost", "trigger", l.sub.trigger.key().String())
			stop()
		}
	}
}

// inherit takes up where the last leader was: keys with a retry are held, and
// what it had read and not finished comes first, in stream order.
func (l *lane) inherit(reading, work context.Context) error {
	ctx, cancel := l.srv.call(reading)
	defer cancel()
	t := l.sub.trigger.Name
	ids, err := l.srv.rdb.ZRange(ctx, l.part.due(t), 0, -1).Result()
	if err != nil {
		return err
	}
	sort.Slice(ids, func(i, j int) bool { return lessID(ids[i], ids[j]) })
	for _, id := range ids {
		payload, err := l.srv.rdb.HGet(ctx, l.part.retries(t), "p:"+id).Result()
		if err != nil {
			continue // finished meanwhile
		}
		if m, err := decode(payload); err == nil {
			l.chains.enter(&entry{id: id, msg: m})
		}
	}
	start := "0-0"
	for {
		ctx, cancel := l.srv.call(context.WithoutCancel(reading))
		entries, next, deleted, err := l.srv.rdb.XAutoClaimWithDeleted(ctx, &redis.XAutoClaimArgs{
			Stream: l.part.stream(), Group: t, Consumer: l.srv.consumer, Start: start, Count: claimBatch,
		}).Result()
		cancel()
		if hasCode(err, "NOGROUP") {
			return nil
		}
		if err != nil {
			return err
		}
		l.sub.metrics.deleted.Add(float64(len(deleted)))
		l.sub.metrics.claimed.Add(float64(len(entries)))
		l.accept(reading, work, entries)
		if next == "0-0" || reading.Err() != nil {
			return nil
		}
		start = next
	}
}
