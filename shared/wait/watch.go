package wait

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// readers is how many records are read at once for watchers.
const readers = 8

// hub sends changes to watchers. One subscription serves all watchers of
// a process, and one read all watchers of a job, so that a thousand of them
// cost Redis as much as one. It runs while there are watchers.
type hub struct {
	waits *Waits

	mu       sync.Mutex
	watchers map[string]map[*watcher]struct{} // by packed id
	end      context.CancelFunc               // of the running subscription
	ended    chan struct{}
	closed   bool
}

type watcher struct {
	mu     sync.Mutex
	c      chan Record
	closed bool
}

func newHub(w *Waits) *hub {
	return &hub{waits: w, watchers: map[string]map[*watcher]struct{}{}}
}

// Watch pushes the job's record each time it changes: its state, its progress.
// A slow reader gets the latest and misses those between. Pushes may be lost
// with the connection to Redis; once it is back every watcher gets the record
// as it is then. The channel is closed when ctx ends or Waits is closed. There
// need not be a record.
func (w *Waits) Watch(ctx context.Context, jobID string) (<-chan Record, error) {
	id, ok := pack(jobID)
	if !ok {
		return nil, fmt.Errorf("watch job: %w", ErrUnknown)
	}
	v := &watcher{c: make(chan Record, 1)}
	if !w.hub.add(id, v) {
		return nil, errors.New("watch job: waits are closed")
	}
	context.AfterFunc(ctx, func() { w.hub.remove(id, v) })
	return v.c, nil
}

func (b *hub) add(id string, v *watcher) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	if b.watchers[id] == nil {
		b.watchers[id] = map[*watcher]struct{}{}
	}
	b.watchers[id][v] = struct{}{}
	if b.end == nil {
		ctx, cancel := context.WithCancel(context.Background())
		b.end, b.ended = cancel, make(chan struct{})
		go b.run(ctx, b.ended)
	}
	return true
}

func (b *hub) remove(id string, v *watcher) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.watchers[id], v)
	if len(b.watchers[id]) == 0 {
		delete(b.watchers, id)
	}
	v.close()
	if len(b.watchers) == 0 && b.end != nil {
		b.end()
		b.end = nil
	}
}

// stop closes all watchers' channels and waits for the subscription to end.
func (b *hub) stop() {
	b.mu.Lock()
	b.closed = true
	for _, group := range b.watchers {
		for v := range group {
			v.close()
		}
	}
	clear(b.watchers)
	if b.end != nil {
		b.end()
		b.end = nil
	}
	ended := b.ended
	b.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

func (b *hub) run(ctx context.Context, ended chan<- struct{}) {
	defer close(ended)
	sub := b.waits.redis.Subscribe(ctx, b.waits.keys.changes())
	defer func() { _ = sub.Close() }()
	// A job has one reader, so that its watchers never go back in time.
	var queues [readers]chan string
	var wg sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan string, 256)
		wg.Go(func() {
			for id := range queues[i] {
				b.push(ctx, id)
			}
		})
	}
	defer func() {
		for _, q := range queues {
			close(q)
		}
		wg.Wait()
	}()
	read := func(id string) { queues[id[len(id)-1]%readers] <- id }
	messages := sub.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			switch m := m.(type) {
			case *redis.Subscription: // the first one, or again after a break
				for _, id := range b.watched() {
					read(id)
				}
			case *redis.Message:
				if b.isWatched(m.Payload) {
					read(m.Payload)
				}
			}
		}
	}
}

func (b *hub) isWatched(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.watchers[id]) > 0
}

func (b *hub) watched() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]string, 0, len(b.watchers))
	for id := range b.watchers {
		ids = append(ids, id)
	}
	return ids
}

// push reads a record once and sends it to all its watchers. A record that can't be
// read now is skipped: watchers poll from time to time.
func (b *hub) push(ctx context.Context, id string) {
	jobID, ok := unpack(id)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := b.waits.Get(ctx, jobID)
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for v := range b.watchers[id] {
		v.push(r)
	}
}

// push replaces what the reader has not taken yet.
func (v *watcher) push(r Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	select {
	case <-v.c:
	default:
	}
	v.c <- r
}

func (v *watcher) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closed {
		v.closed = true
		close(v.c)
	}
}
