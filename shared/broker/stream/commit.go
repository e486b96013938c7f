package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// commit is one call of lua/commit.lua: a group of published events and settlements, the
// routing of each event, and the claims that this process asks for with them. It is made
// for one attempt and owns the claims it has reserved until claimed or unclaim.
type commit struct {
	w       *Writer
	claimer Claimer
	group   []*write
	args    []any
	wants   []Want
	// plan is what the script's results are about, in order.
	plan  []planned
	names map[string]int
	flags []string
	known map[string]string
	// fresh are the events that this commit has stored, by entry id.
	fresh map[string]*stored
}

type planned struct {
	wr    *write
	event *stored // nil for the settlement
}

func newCommit(w *Writer, group []*write, table *routes) *commit {
	c := &commit{w: w, group: group, names: make(map[string]int, 8)}
	if table != nil {
		c.known = table.flags
	}
	ops := make([]any, 0, 8*len(group))
	touched := make(map[string]bool, 4)
	event := func(op string, e *stored) {
		var to strings.Builder
		for i := range table.list {
			if r := &table.list[i]; r.filter.Match(e.msg) {
				to.WriteString(strconv.Itoa(c.name(r.name)))
				to.WriteByte(',')
				touched[r.name] = true
			}
		}
		ops = append(ops, op, e.digest, e.typ, e.key, to.String(), e.payload)
	}
	for _, wr := range group { // publishers first, as the script wants
		if wr.settle != nil || wr.priority {
			continue
		}
		if len(wr.events) > 1 {
			ops = append(ops, "B", len(wr.events))
		}
		for _, e := range wr.events {
			event("P", e)
			c.plan = append(c.plan, planned{wr, e})
		}
	}
	for _, wr := range group {
		if wr.settle == nil && !wr.priority {
			continue
		}
		for _, e := range wr.events {
			event("R", e)
			c.plan = append(c.plan, planned{wr, e})
		}
		if wr.settle != nil {
			ops = c.settle(ops, wr.settle)
			c.plan = append(c.plan, planned{wr: wr})
		}
	}
	w.mu.Lock()
	c.claimer = w.claimer
	w.mu.Unlock()
	if c.claimer != nil {
		c.wants = c.claimer.Wants(touched)
	}
	for _, want := range c.wants {
		ops = append(ops, "C", c.name(want.Trigger), want.Count)
	}
	gen := "*"
	if table != nil {
		gen = table.gen
	}
	cfg := &w.p.store.cfg
	c.args = make([]any, 0, 6+len(c.flags)+len(ops))
	c.args = append(c.args, gen, w.consumer, cfg.DedupWindow.Milliseconds(), cfg.QueueCap, cfg.BodyBytes, len(c.flags))
	c.args = append(c.args, anys(c.flags)...)
	c.args = append(c.args, ops...)
	return c
}

// name returns a Trigger's number in this commit. Only those that it is about go with
// it: a broker may have thousands.
func (c *commit) name(trigger string) int {
	if n, ok := c.names[trigger]; ok {
		return n
	}
	flag := c.known[trigger]
	if flag == "" {
		flag = "-" // it stores nothing there, so that nothing depends on it
	}
	c.flags = append(c.flags, flag+trigger)
	c.names[trigger] = len(c.flags)
	return len(c.flags)
}

func (c *commit) settle(ops []any, s *Settlement) []any {
	e := s.Entry
	t := c.name(e.Trigger)
	ref, state := "", ""
	if e.ref {
		ref = "1"
	}
	if len(e.State) > 0 {
		state = "1"
	}
	switch s.Outcome {
	case RetryLater:
		return append(ops, "L", t, e.ID, max(s.Delay.Milliseconds(), 0), s.State)
	case Dead:
		return append(ops, "D", t, e.ID, e.Origin, e.Key, ref, s.State)
	case Requeued:
		return append(ops, "G", t, e.ID)
	default:
		return append(ops, "A", t, e.ID, e.Origin, e.Key, ref, state)
	}
}

// failed gives reserved claims back. Redis may have made them all the same: then
// the entries are this consumer's, and nobody knows.
func (c *commit) failed() {
	if len(c.wants) > 0 {
		c.w.uncertain.Store(true)
	}
	c.unclaim()
}

// unclaim gives reserved claims back.
func (c *commit) unclaim() {
	for _, want := range c.wants {
		c.claimer.Claimed(want, nil, true)
	}
}

// results hands the results out. It returns the writes that Redis had no memory
// for and that may be tried once more.
func (c *commit) results(answer []any) (again []*write, err error) {
	if len(answer) != 3 {
		c.unclaim()
		return nil, fmt.Errorf("commit: %d values in the answer", len(answer))
	}
	results, _ := answer[1].([]any)
	if len(results) != len(c.plan)+len(c.wants) {
		c.unclaim()
		return nil, fmt.Errorf("commit: %d results for %d steps", len(results), len(c.plan)+len(c.wants))
	}
	c.fresh = make(map[string]*stored, len(c.plan))
	for i, p := range c.plan {
		text, _ := results[i].(string)
		if p.event == nil {
			if p.wr.settle.Done != nil {
				p.wr.settle.Done(text == "1")
			}
			continue
		}
		switch text {
		case "FULL":
			p.wr.err = ErrFull
		case "OOM":
			p.wr.err = ErrNoMemory
		default:
			id, duplicate := strings.CutPrefix(text, "=")
			p.wr.result = append(p.wr.result, Stored{ID: id, Duplicate: duplicate})
			if !duplicate {
				c.fresh[id] = p.event
			}
		}
	}
	for _, wr := range c.group {
		if wr.settle != nil {
			continue
		}
		if errors.Is(wr.err, ErrNoMemory) && !wr.trimmed {
			wr.trimmed, wr.err, wr.result = true, nil, nil
			again = append(again, wr)
			continue
		}
		close(wr.done)
	}
	c.claimed(results[len(c.plan):], answer[2])
	return again, nil
}

func (c *commit) claimed(results []any, answer any) {
	entries := c.entries(answer)
	by := make(map[string][]*Entry, len(c.wants))
	for _, e := range entries {
		by[e.Trigger] = append(by[e.Trigger], e)
	}
	for i, want := range c.wants {
		c.claimer.Claimed(want, by[want.Trigger], results[i] == "1")
	}
}

func (c *commit) entries(answer any) []*Entry {
	list, _ := answer.([]any)
	out := make([]*Entry, 0, len(list))
	for _, v := range list {
		e := decodeEntry(v)
		if e == nil {
			continue
		}
		if e.Message == nil {
			if stored := c.fresh[e.ID]; stored != nil {
				e.Message = stored.msg
			}
		}
		out = append(out, e)
	}
	return out
}

// run calls the script and, where replicas are asked for, waits for them on the
// same connection. Redis takes WAIT there to mean all it had done before, so that
// a repeat of an event that did not reach the replicas waits for it again.
func (w *Writer) run(ctx context.Context, args []any) ([]any, error) {
	cfg, key := &w.p.store.cfg, []string{w.p.keys.meta()}
	if cfg.WaitReplicas == 0 {
		return commitScript.Run(ctx, w.p.store.rdb, key, args...).Slice()
	}
	node, cluster := w.p.store.rdb, (*redis.ClusterClient)(nil)
	if c, ok := w.p.store.rdb.(*redis.ClusterClient); ok {
		master, err := c.MasterForKey(ctx, key[0]) // WAIT has no key that would lead there
		if err != nil {
			return nil, err
		}
		node, cluster = master, c
	}
	var committed, reached *redis.Cmd
	_, err := node.Pipelined(ctx, func(p redis.Pipeliner) error {
		committed = commitScript.Eval(ctx, p, key, args...)
		reached = p.Do(ctx, "wait", cfg.WaitReplicas, max(cfg.RedisTimeout/2, time.Millisecond).Milliseconds())
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
	if n < cfg.WaitReplicas {
		return nil, fmt.Errorf("%d of %d replicas have the write", n, cfg.WaitReplicas)
	}
	return committed.Slice()
}
