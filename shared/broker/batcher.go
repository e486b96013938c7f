package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/redis/go-redis/v9"
)

const (
	// groupEvents and groupBytes bound one script call, so that Redis is never
	// kept from other work for long.
	groupEvents = 256
	groupBytes  = 4 << 20
	// groupsInFlight overlaps the building of one group with the storing of
	// another.
	groupsInFlight = 2
)

var (
	// errFull is backpressure: the stream is at its cap.
	errFull = errors.New("stream is at its cap")
	// errClosed is given to appends after Close.
	errClosed = errors.New("broker is closed")
)

// stored says where an event went.
type stored struct {
	id        string
	duplicate bool
}

// appending is one caller's events for one partition.
type appending struct {
	messages []*message
	payloads [][]byte
	bytes    int
	result   []stored
	err      error
	done     chan struct{}
}

// batcher appends to one partition. Posts that come while a group is being
// stored make up the next one: one script call, one fsync, many answers.
type batcher struct {
	cfg     *Config
	rdb     redis.UniversalClient
	part    partition
	queue   chan *appending
	slots   chan struct{}
	stop    chan struct{}
	stopped chan struct{}
}

func newBatcher(cfg *Config, rdb redis.UniversalClient, part partition) *batcher {
	b := &batcher{
		cfg: cfg, rdb: rdb, part: part,
		queue:   make(chan *appending, 4*groupEvents),
		slots:   make(chan struct{}, groupsInFlight),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	go b.loop()
	return b
}

// append stores the messages, all in one step, and returns when they are
// durable. It gives errFull, or what Redis or the journal said; then none of
// them may be taken for stored. Should ctx end first they may be stored
// nevertheless, which a repeat finds out.
func (b *batcher) append(ctx context.Context, messages ...*message) ([]stored, error) {
	a := &appending{messages: messages, payloads: make([][]byte, len(messages)), done: make(chan struct{})}
	for i, m := range messages {
		a.payloads[i] = m.encode()
		a.bytes += len(a.payloads[i])
	}
	select {
	case b.queue <- a:
	case <-b.stop:
		return nil, errClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("queue events: %w", ctx.Err())
	}
	select {
	case <-a.done:
		return a.result, a.err
	case <-b.stopped:
		select {
		case <-a.done:
			return a.result, a.err
		default:
			return nil, errClosed
		}
	case <-ctx.Done():
		return nil, fmt.Errorf("append events: %w", ctx.Err())
	}
}

// close stores what is queued and ends the loop.
func (b *batcher) close() {
	close(b.stop)
	<-b.stopped
}

func (b *batcher) loop() {
	defer close(b.stopped)
	defer func() {
		for range groupsInFlight { // wait for the groups in flight
			b.slots <- struct{}{}
		}
	}()
	for {
		var first *appending
		select {
		case first = <-b.queue:
		case <-b.stop:
			select {
			case first = <-b.queue:
			default:
				return
			}
		}
		b.slots <- struct{}{} // while this waits, the queue fills
		group := b.gather(first)
		go func() {
			b.flush(group)
			<-b.slots
		}()
	}
}

func (b *batcher) gather(first *appending) []*appending {
	group := []*appending{first}
	events, bytes := len(first.messages), first.bytes
	for events < groupEvents && bytes < groupBytes {
		select {
		case a := <-b.queue:
			group = append(group, a)
			events += len(a.messages)
			bytes += a.bytes
		default:
			return group
		}
	}
	return group
}

func (b *batcher) flush(group []*appending) {
	result, err := b.store(group)
	for _, a := range group {
		if err == nil {
			a.result, result = result[:len(a.messages)], result[len(a.messages):]
		}
		a.err = err
		close(a.done)
	}
}

func (b *batcher) store(group []*appending) ([]stored, error) {
	n := 0
	for _, a := range group {
		n += len(a.messages)
	}
	// Room for the one retry that the client makes after a broken connection.
	ctx, cancel := context.WithTimeout(context.Background(), 2*b.cfg.RedisTimeout)
	defer cancel()
	if b.cfg.Journal != nil {
		events := make([]event.Event, 0, n)
		for _, a := range group {
			for _, m := range a.messages {
				events = append(events, m.event(true))
			}
		}
		if err := b.cfg.Journal(ctx, events); err != nil {
			return nil, fmt.Errorf("journal events: %w", err)
		}
	}
	keys := make([]string, 1, n+1)
	args := make([]any, 2, n+2)
	keys[0] = b.part.stream()
	args[0], args[1] = b.cfg.DedupWindow.Milliseconds(), b.cfg.StreamCap
	for _, a := range group {
		for i, m := range a.messages {
			keys = append(keys, b.part.seen(m.digest()))
			args = append(args, a.payloads[i])
		}
	}
	ids, err := b.run(ctx, keys, args)
	if err != nil {
		if hasCode(err, "FULL") {
			return nil, errFull
		}
		return nil, fmt.Errorf("append to %s: %w", b.part.broker, err)
	}
	if len(ids) != n {
		return nil, fmt.Errorf("append to %s: %d answers to %d events", b.part.broker, len(ids), n)
	}
	out := make([]stored, n)
	for i, id := range ids {
		out[i].id, out[i].duplicate = strings.CutPrefix(id, "=")
	}
	return out, nil
}

// run calls the script and, where replicas are asked for, waits for them on the
// same connection. Redis takes WAIT there to mean all it had done before, so that
// a repeat of an event that did not reach the replicas waits for it again.
func (b *batcher) run(ctx context.Context, keys []string, args []any) ([]string, error) {
	if b.cfg.WaitReplicas == 0 {
		return appendScript.Run(ctx, b.rdb, keys, args...).StringSlice()
	}
	node, cluster := b.rdb, (*redis.ClusterClient)(nil)
	if c, ok := b.rdb.(*redis.ClusterClient); ok {
		master, err := c.MasterForKey(ctx, keys[0]) // WAIT has no key that would lead there
		if err != nil {
			return nil, err
		}
		node, cluster = master, c
	}
	var appended *redis.Cmd
	var reached *redis.Cmd
	_, err := node.Pipelined(ctx, func(p redis.Pipeliner) error {
		appended = appendScript.Eval(ctx, p, keys, args...)
		reached = p.Do(ctx, "wait", b.cfg.WaitReplicas, max(b.cfg.RedisTimeout/2, time.Millisecond).Milliseconds())
		return nil
	})
	if err != nil {
		if cluster != nil {
			cluster.ReloadState(ctx) // the partition may have moved
		}
		return nil, err
	}
	n, err := reached.Int()
	if err != nil {
		return nil, fmt.Errorf("wait for replicas: %w", err)
	}
	if n < b.cfg.WaitReplicas {
		return nil, fmt.Errorf("%d of %d replicas have the events", n, b.cfg.WaitReplicas)
	}
	return appended.StringSlice()
}
