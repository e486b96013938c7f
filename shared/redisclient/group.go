package redisclient

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

const (
	// groupMost bounds one pipeline.
	groupMost = 256
	// groupsInFlight overlaps the building of one group with the work on another.
	groupsInFlight = 2
	groupTimeout   = 2 * redisTimeout
)

// Group sends the scripts that concurrent callers run as one pipeline: what comes
// while others are on their way goes with the next, in one round trip and, where
// Redis syncs every write, with one fsync. It implements redis.Scripter.
//
// A call returns when its own answer is there, or when its context ends; then the
// script may run all the same if it has been sent. One that has not is left out: what
// gathers while Redis stands still must not be done once nobody waits for it.
type Group struct {
	redis.Scripter

	rdb redis.UniversalClient

	mu       sync.Mutex
	queue    []*grouped
	inFlight int
}

type grouped struct {
	cmd  *redis.Cmd
	done chan struct{}
	// abandoned: its caller is gone.
	abandoned atomic.Bool
}

// NewGroup makes a Group on a client, which stays its owner's.
func NewGroup(client redis.UniversalClient) *Group {
	return &Group{Scripter: client, rdb: client}
}

// Eval runs a script by its text.
func (g *Group) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return g.run(ctx, "eval", script, keys, args)
}

// EvalSha runs a script by its digest.
func (g *Group) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return g.run(ctx, "evalsha", sha, keys, args)
}

func (g *Group) run(ctx context.Context, name, script string, keys []string, args []any) *redis.Cmd {
	all := make([]any, 3, 3+len(keys)+len(args))
	all[0], all[1], all[2] = name, script, len(keys)
	for _, k := range keys {
		all = append(all, k)
	}
	all = append(all, args...)
	cmd := redis.NewCmd(ctx, all...)
	if len(keys) > 0 {
		cmd.SetFirstKeyPos(3)
	}
	c := &grouped{cmd: cmd, done: make(chan struct{})}
	g.mu.Lock()
	g.queue = append(g.queue, c)
	start := g.inFlight < groupsInFlight
	if start {
		g.inFlight++
	}
	g.mu.Unlock()
	if start {
		go g.flush()
	}
	select {
	case <-c.done:
		return cmd
	case <-ctx.Done():
		c.abandoned.Store(true)
		late := redis.NewCmd(ctx, all...) // the other one is still written to
		late.SetErr(fmt.Errorf("run script: %w", ctx.Err()))
		return late
	}
}

// flush sends what is queued until nothing is.
func (g *Group) flush() {
	for {
		g.mu.Lock()
		g.queue = slices.DeleteFunc(g.queue, func(c *grouped) bool { return c.abandoned.Load() })
		n := min(len(g.queue), groupMost)
		if n == 0 {
			g.inFlight--
			g.mu.Unlock()
			return
		}
		group := g.queue[:n:n]
		g.queue = append([]*grouped(nil), g.queue[n:]...)
		g.mu.Unlock()
		g.send(group)
	}
}

func (g *Group) send(group []*grouped) {
	ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
	defer cancel()
	if len(group) == 1 {
		_ = g.rdb.Process(ctx, group[0].cmd) // its error is in it
	} else {
		_, _ = g.rdb.Pipelined(ctx, func(p redis.Pipeliner) error { // each has its own error
			for _, c := range group {
				_ = p.Process(ctx, c.cmd)
			}
			return nil
		})
	}
	for _, c := range group {
		close(c.done)
	}
}

var _ redis.Scripter = (*Group)(nil)
