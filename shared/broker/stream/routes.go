package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/broker/filter"
	"github.com/zixly/sweepline/shared/redisclient"
)

// Record is what is kept of a Trigger beside its queue: what routing needs, and
// what an operator wants to see. Equal Triggers have equal records.
type Record struct {
	Subscriber string `json:"subscriber"`
	// Filter is filter.Filter.String; empty passes everything.
	Filter         string `json:"filter,omitempty"`
	DeadLetterSink string `json:"dead_letter_sink,omitempty"`
	// Ordered keeps the events of a partition key in order.
	Ordered bool `json:"ordered,omitempty"`
}

// Registration is one Trigger of a Set.
type Registration struct {
	Name   string
	Record Record
	// StartFrom is where a new Trigger begins: empty for events from its creation
	// on, "earliest", an RFC 3339 time, or an entry id. It is of no effect later.
	StartFrom string
}

// RouteSet is what a Broker's Triggers shall be.
type RouteSet struct {
	// Version orders sets; 0 is a set without one, which is always taken.
	Version int64
	// Triggers replace those before them.
	Triggers []Registration
	// Keep names Triggers that stay as they are: there, but not readable now.
	Keep []string
	// Partial keeps all that are not named.
	Partial bool
}

// Register makes the set the Broker's routes, in n partitions or as many as it has
// already. It returns the partitions, the numbers of partitions that events were
// spread over within the deduplication window, and whether the set was put into
// force: it is not where a later version already was.
func (s *Store) Register(ctx context.Context, b Broker, n int, set RouteSet) (Registered, error) {
	var r Registered
	p := s.Partition(b, 0)
	ctx, cancel := s.call(ctx)
	defer cancel()
	counts, err := p.run(ctx, growScript, n, s.cfg.DedupWindow.Milliseconds(), Layout).Int64Slice()
	if err != nil {
		return r, layoutError(err)
	}
	if err := s.rdb.SAdd(ctx, brokersKey(s.cfg.Prefix), b.String()).Err(); err != nil {
		return r, err
	}
	for _, former := range counts[1:] {
		r.Former = append(r.Former, int(former))
	}
	partial := 0
	if set.Partial {
		partial = 1
	}
	args := []any{Layout, set.Version, partial, len(set.Keep)}
	args = append(args, anys(set.Keep)...)
	starts := make(map[string]string)
	for _, t := range set.Triggers {
		record, err := json.Marshal(t.Record)
		if err != nil {
			return r, fmt.Errorf("encode record of %s: %w", t.Name, err)
		}
		args = append(args, t.Name, record)
		if t.StartFrom != "" {
			if starts[t.Name], err = StartID(t.StartFrom); err != nil {
				return r, err
			}
		}
	}
	for i := range int(counts[0]) {
		p := s.Partition(b, i)
		answer, err := p.run(ctx, registerScript, args...).StringSlice()
		if err != nil {
			return r, layoutError(err)
		}
		r.Partitions = append(r.Partitions, p)
		r.Generations = append(r.Generations, answer[0])
		r.Old = r.Old || answer[1] == "old"
		for _, name := range answer[2:] {
			if after, ok := starts[name]; ok {
				if err := p.run(ctx, replayScript, name, after).Err(); err != nil {
					return r, fmt.Errorf("start %s in the past: %w", name, err)
				}
			}
		}
	}
	return r, nil
}

// Registered is the outcome of Register.
type Registered struct {
	Partitions []*Partition
	// Generations are those of the partitions' routes.
	Generations []string
	// Former are numbers of partitions that the identities of events may still be
	// spread over.
	Former []int
	// Old: a later version of the set is in force.
	Old bool
}

func layoutError(err error) error {
	if redisclient.HasCode(err, "LAYOUT") {
		return ErrLayout
	}
	return err
}

// StartID is the position after which a Trigger that starts at from begins.
func StartID(from string) (string, error) {
	if from == "earliest" {
		return "0-0", nil
	}
	if t, err := time.Parse(time.RFC3339, from); err == nil {
		return beforeTime(t), nil
	}
	if _, _, ok := SplitID(from); ok {
		return from, nil
	}
	return "", fmt.Errorf("%q is neither \"earliest\", an RFC 3339 time nor an entry id", from)
}

// beforeTime is a position before all entries of t's millisecond.
func beforeTime(t time.Time) string {
	return strconv.FormatInt(max(t.UnixMilli()-1, 0), 10) + "-18446744073709551615"
}

// SplitID reads an entry id: Unix milliseconds and a sequence number.
func SplitID(id string) (ms int64, seq uint64, ok bool) {
	before, after, ok := strings.Cut(id, "-")
	if !ok {
		return 0, 0, false
	}
	ms, err := strconv.ParseInt(before, 10, 64)
	if err != nil || ms < 0 {
		return 0, 0, false
	}
	seq, err = strconv.ParseUint(after, 10, 64)
	return ms, seq, err == nil
}

// IDTime is when the event with that id was stored; zero for what is no id.
func IDTime(id string) time.Time {
	ms, _, ok := SplitID(id)
	if !ok {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// route is one Trigger as events are routed to it.
type route struct {
	name    string
	filter  *filter.Filter
	ordered bool
	removed bool
}

func (r route) flag() string {
	switch {
	case r.ordered && r.removed:
		return "y"
	case r.ordered:
		return "o"
	case r.removed:
		return "x"
	}
	return "-"
}

// routes are a partition's routes at one generation.
type routes struct {
	gen  string
	list []route
	// flags are the scripts' flags, by name.
	flags map[string]string
}

// loadRoutes reads the routes that are in force. Without any, gen is empty.
func (p *Partition) loadRoutes(ctx context.Context) (*routes, error) {
	ctx, cancel := p.store.call(ctx)
	defer cancel()
	pipe := p.store.rdb.TxPipeline()
	gen := pipe.HGet(ctx, p.keys.meta(), "gen")
	records := pipe.HGetAll(ctx, p.keys.routes())
	removed := pipe.ZRange(ctx, p.keys.of("removed"), 0, -1)
	if _, err := pipe.Exec(ctx); err != nil && !isNil(err) {
		return nil, fmt.Errorf("load routes of %s: %w", p.Broker, err)
	}
	r := &routes{gen: gen.Val(), flags: make(map[string]string, len(records.Val()))}
	gone := make(map[string]bool, len(removed.Val()))
	for _, name := range removed.Val() {
		gone[name] = true
	}
	for name, text := range records.Val() {
		var record Record
		if err := json.Unmarshal([]byte(text), &record); err != nil {
			return nil, fmt.Errorf("read route %s: %w", name, err)
		}
		f, err := filter.Parse(record.Filter)
		if err != nil {
			return nil, fmt.Errorf("read filter of route %s: %w", name, err)
		}
		to := route{name: name, filter: f, ordered: record.Ordered, removed: gone[name]}
		r.list = append(r.list, to)
		r.flags[name] = to.flag()
	}
	return r, nil
}

// orderKey is the key under which an event is ordered, empty for none.
func orderKey(m *cloudevent.Message) string {
	key := m.Get("partitionkey")
	if len(key) > 64 { // a name of a key in Redis: bounded, whatever the publisher chose
		return m.KeyDigest()
	}
	return key
}

// table returns the routes to route by.
func (w *Writer) table(ctx context.Context) (*routes, error) {
	w.routesMu.Lock()
	defer w.routesMu.Unlock()
	if w.routes != nil {
		return w.routes, nil
	}
	for range 2 {
		r, err := w.p.loadRoutes(ctx)
		if err != nil {
			return nil, err
		}
		if r.gen != "" && !w.isOlder(r.gen) {
			w.expect(r.gen)
			w.routes = r
			return r, nil
		}
		// Redis has lost them, never had them, or was restored from a copy that is older
		// than they are: then Triggers may be missing.
		w.log.WarnContext(ctx, "redis had older routes or none, registering again", "broker", w.p.Broker.String())
		if err := w.restore(ctx); err != nil {
			return nil, fmt.Errorf("register routes again: %w", err)
		}
		w.generation = "" // not before: until it has succeeded they are older still
	}
	return nil, errors.New("no routes are registered")
}

// Expect tells which generation of the routes is in force.
func (w *Writer) Expect(generation string) {
	w.routesMu.Lock()
	defer w.routesMu.Unlock()
	w.expect(generation)
}

func (w *Writer) expect(generation string) {
	if !w.isOlder(generation) {
		w.generation = generation
	}
}

// isOlder reports whether a generation is before one that this process has seen.
func (w *Writer) isOlder(generation string) bool {
	ms, seq, ok := SplitID(generation)
	lastMs, lastSeq, seen := SplitID(w.generation)
	return ok && seen && (ms < lastMs || ms == lastMs && seq < lastSeq)
}

// Recover looks whether the routes are older than this process knows them to be, and
// registers them again then, which it reports.
func (w *Writer) Recover(ctx context.Context) (bool, error) {
	ctx, cancel := w.p.store.call(ctx)
	defer cancel()
	generation, err := w.p.store.rdb.HGet(ctx, w.p.keys.meta(), "gen").Result()
	if err != nil && !isNil(err) {
		return false, fmt.Errorf("read generation of routes: %w", err)
	}
	w.routesMu.Lock()
	older := w.isOlder(generation)
	if older {
		w.routes = nil
	}
	w.routesMu.Unlock()
	if !older {
		return false, nil
	}
	_, err = w.table(ctx)
	return err == nil, err
}

// Restore registers the routes again where Redis has lost them.
func (w *Writer) Restore(ctx context.Context) error {
	ctx, cancel := w.p.store.call(ctx)
	defer cancel()
	return w.restore(ctx)
}

func (w *Writer) forget(table *routes) {
	w.routesMu.Lock()
	defer w.routesMu.Unlock()
	if w.routes == table {
		w.routes = nil
	}
}
