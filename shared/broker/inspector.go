package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Inspector looks at brokers and acts on them through Redis alone: it needs no
// Server in its process, and works while none runs. The CLI and the dashboard
// stand on it.
type Inspector struct {
	rdb     redis.UniversalClient
	timeout time.Duration
	now     func() time.Time
}

// NewInspector makes an Inspector that leaves the client to its owner.
func NewInspector(client redis.UniversalClient) (*Inspector, error) {
	if client == nil {
		return nil, errors.New("broker: redis client is nil")
	}
	return newInspector(client, 2*time.Second, time.Now), nil
}

func newInspector(client redis.UniversalClient, timeout time.Duration, now func() time.Time) *Inspector {
	return &Inspector{rdb: client, timeout: timeout, now: now}
}

func (i *Inspector) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 2*i.timeout)
}

// StreamInfo is one stream of a broker.
type StreamInfo struct {
	Namespace string `json:"namespace"`
	Broker    string `json:"broker"`
	Partition int    `json:"partition"`
	Entries   int64  `json:"entries"`
	// FirstID and LastID are stream ids, empty for an empty stream.
	FirstID string `json:"first_id,omitempty"`
	LastID  string `json:"last_id,omitempty"`
}

// TriggerInfo is a Trigger as it was applied last, and how it does. The numbers
// add up all its streams.
type TriggerInfo struct {
	Namespace      string `json:"namespace"`
	Broker         string `json:"broker"`
	Name           string `json:"name"`
	Subscriber     string `json:"subscriber"`
	Filter         string `json:"filter,omitempty"`
	DeadLetterSink string `json:"dead_letter_sink,omitempty"`
	Ordered        bool   `json:"ordered,omitempty"`

	Paused bool `json:"paused"`
	// Lag counts entries not read yet, up to 10 000 a stream.
	Lag int64 `json:"lag"`
	// Pending counts entries that were read and are not acknowledged.
	Pending int64 `json:"pending"`
	// Retries counts events between two attempts, or on their way to the sink.
	Retries int64 `json:"retries"`
	// DeadLetters counts those kept.
	DeadLetters int64 `json:"dead_letters"`
	// OldestAge is the age of the oldest event that is not finished, 0 if all are.
	OldestAge time.Duration `json:"oldest_age_ns"`
	Consumers int64         `json:"consumers"`
}

func infoOf(t Trigger) TriggerInfo {
	return TriggerInfo{
		Namespace: t.Namespace, Broker: t.Broker, Name: t.Name, Subscriber: t.Subscriber,
		Filter: t.Filter.String(), DeadLetterSink: t.Delivery.DeadLetterSink, Ordered: t.Ordered,
	}
}

// lagLimit bounds the counting of a lag.
const lagLimit = 10_000

// Streams lists the streams of all brokers.
func (i *Inspector) Streams(ctx context.Context) ([]StreamInfo, error) {
	brokers, err := i.brokers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	var all []StreamInfo
	for _, b := range brokers {
		n, err := partitionsOf(ctx, i.rdb, b)
		if err != nil {
			return nil, fmt.Errorf("list streams of %s: %w", b, err)
		}
		for p := range n {
			info, err := i.stream(ctx, newPartition(b, p))
			if err != nil {
				return nil, fmt.Errorf("read stream of %s: %w", b, err)
			}
			all = append(all, info)
		}
	}
	return all, nil
}

func (i *Inspector) stream(ctx context.Context, p partition) (StreamInfo, error) {
	ctx, cancel := i.call(ctx)
	defer cancel()
	info := StreamInfo{Namespace: p.broker.Namespace, Broker: p.broker.Name, Partition: p.index}
	var err error
	if info.Entries, err = i.rdb.XLen(ctx, p.stream()).Result(); err != nil {
		return info, err
	}
	first, err := i.rdb.XRangeN(ctx, p.stream(), "-", "+", 1).Result()
	if err != nil {
		return info, err
	}
	last, err := i.rdb.XRevRangeN(ctx, p.stream(), "+", "-", 1).Result()
	if err != nil {
		return info, err
	}
	if len(first) > 0 && len(last) > 0 {
		info.FirstID, info.LastID = first[0].ID, last[0].ID
	}
	return info, nil
}

// Triggers lists the Triggers of all brokers with their numbers.
func (i *Inspector) Triggers(ctx context.Context) ([]TriggerInfo, error) {
	brokers, err := i.brokers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list triggers: %w", err)
	}
	var all []TriggerInfo
	for _, b := range brokers {
		triggers, err := i.triggersOf(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("list triggers of %s: %w", b, err)
		}
		all = append(all, triggers...)
	}
	return all, nil
}

func (i *Inspector) triggersOf(ctx context.Context, b Broker) ([]TriggerInfo, error) {
	ctx, cancel := i.call(ctx)
	defer cancel()
	zero := newPartition(b, 0)
	stored, err := i.rdb.HGetAll(ctx, zero.triggers()).Result()
	if err != nil {
		return nil, err
	}
	paused, err := i.rdb.SMembersMap(ctx, zero.paused()).Result()
	if err != nil {
		return nil, err
	}
	n, err := partitionsOf(ctx, i.rdb, b)
	if err != nil {
		return nil, err
	}
	triggers := make([]TriggerInfo, 0, len(stored))
	for name, text := range stored {
		info := TriggerInfo{Namespace: b.Namespace, Broker: b.Name, Name: name}
		if err := json.Unmarshal([]byte(text), &info); err != nil {
			return nil, fmt.Errorf("trigger %s: %w", name, err)
		}
		_, info.Paused = paused[name]
		for p := range n {
			if err := i.measure(ctx, newPartition(b, p), &info); err != nil {
				return nil, err
			}
		}
		triggers = append(triggers, info)
	}
	sort.Slice(triggers, func(a, b int) bool { return triggers[a].Name < triggers[b].Name })
	return triggers, nil
}

// measure adds one stream's numbers to info. The lag is counted, not asked for:
// Redis does not know it after a trim or a replay.
func (i *Inspector) measure(ctx context.Context, p partition, info *TriggerInfo) error {
	groups, err := i.rdb.XInfoGroups(ctx, p.stream()).Result()
	if err != nil && !hasCode(err, "ERR") && !hasCode(err, "no such key") {
		return err
	}
	oldest := ""
	older := func(id string) {
		if oldest == "" || lessID(id, oldest) {
			oldest = id
		}
	}
	for _, g := range groups {
		if g.Name != info.Name {
			continue
		}
		info.Consumers += g.Consumers
		info.Pending += g.Pending
		unread, err := i.rdb.XRangeN(ctx, p.stream(), "("+g.LastDeliveredID, "+", 1).Result()
		if err != nil {
			return err
		}
		if len(unread) > 0 {
			older(unread[0].ID)
			lag, err := countFrom(ctx, i.rdb, p.stream(), g.LastDeliveredID)
			if err != nil {
				return err
			}
			info.Lag += lag
		}
		if g.Pending > 0 {
			pending, err := i.rdb.XPending(ctx, p.stream(), g.Name).Result()
			if err != nil {
				return err
			}
			if pending.Count > 0 {
				older(pending.Lower)
			}
		}
	}
	n, err := i.rdb.ZCard(ctx, p.due(info.Name)).Result()
	if err != nil {
		return err
	}
	info.Retries += n
	if n > 0 {
		ids, err := i.rdb.ZRange(ctx, p.due(info.Name), 0, 999).Result()
		if err != nil {
			return err
		}
		for _, id := range ids {
			older(id)
		}
	}
	if n, err = i.rdb.ZCard(ctx, p.buried(info.Name)).Result(); err != nil {
		return err
	}
	info.DeadLetters += n
	if oldest != "" {
		info.OldestAge = max(info.OldestAge, i.now().Sub(idTime(oldest)))
	}
	return nil
}

// Retry is an event between two attempts.
type Retry struct {
	Namespace string `json:"namespace"`
	Broker    string `json:"broker"`
	Trigger   string `json:"trigger"`
	EntryID   string `json:"entry_id"`
	EventID   string `json:"event_id"`
	EventType string `json:"event_type"`
	Attempts  int    `json:"attempts"`
	// Due is the next attempt; while one is running, the end of its lease.
	Due     time.Time `json:"due"`
	Running bool      `json:"running"`
	Code    int       `json:"code"`
	Reason  string    `json:"reason"`
	// Sink is set for a dead event that its sink has not taken yet.
	Sink bool `json:"sink"`
}

// Retries lists up to limit events of a Trigger that wait for another attempt,
// the next due first.
func (i *Inspector) Retries(ctx context.Context, namespace, broker, trigger string, limit int) ([]Retry, error) {
	b := Broker{Namespace: namespace, Name: broker}
	n, err := partitionsOf(ctx, i.rdb, b)
	if err != nil {
		return nil, fmt.Errorf("list retries: %w", err)
	}
	ctx, cancel := i.call(ctx)
	defer cancel()
	var all []Retry
	for index := range n {
		p := newPartition(b, index)
		due, err := i.rdb.ZRangeWithScores(ctx, p.due(trigger), 0, int64(max(limit, 1))-1).Result()
		if err != nil {
			return nil, fmt.Errorf("list retries: %w", err)
		}
		for _, z := range due {
			id, _ := z.Member.(string)
			f, err := i.rdb.HMGet(ctx, p.retries(trigger), "m:"+id, "p:"+id, "o:"+id).Result()
			if err != nil {
				return nil, fmt.Errorf("list retries: %w", err)
			}
			state, _ := f[0].(string)
			payload, _ := f[1].(string)
			var s retryState
			m, err := decode(payload)
			if err != nil || json.Unmarshal([]byte(state), &s) != nil {
				continue
			}
			all = append(all, Retry{
				Namespace: namespace, Broker: broker, Trigger: trigger, EntryID: id,
				EventID: m.get("id"), EventType: m.get("type"), Attempts: s.Attempts,
				Due: time.UnixMilli(int64(z.Score)).UTC(), Running: f[2] != nil,
				Code: s.Code, Reason: strings.ToValidUTF8(string(s.Data), "�"), Sink: s.Died > 0,
			})
		}
	}
	sort.SliceStable(all, func(a, b int) bool { return all[a].Due.Before(all[b].Due) })
	return all[:min(len(all), max(limit, 1))], nil
}

func (i *Inspector) brokers(ctx context.Context) ([]Broker, error) {
	ctx, cancel := i.call(ctx)
	defer cancel()
	names, err := i.rdb.SMembers(ctx, brokersKey).Result()
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	brokers := make([]Broker, 0, len(names))
	for _, name := range names {
		if namespace, name, ok := strings.Cut(name, "/"); ok {
			brokers = append(brokers, Broker{Namespace: namespace, Name: name})
		}
	}
	return brokers, nil
}

func (i *Inspector) eachTrigger(ctx context.Context, do func(b Broker, partitions int, trigger string) error) error {
	brokers, err := i.brokers(ctx)
	if err != nil {
		return err
	}
	for _, b := range brokers {
		n, err := partitionsOf(ctx, i.rdb, b)
		if err != nil {
			return err
		}
		names, err := i.namesOf(ctx, b)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := do(b, n, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// namesOf gives the broker's triggers, and removed ones that may have left dead
// letters.
func (i *Inspector) namesOf(ctx context.Context, b Broker) ([]string, error) {
	ctx, cancel := i.call(ctx)
	defer cancel()
	zero := newPartition(b, 0)
	names, err := i.rdb.HKeys(ctx, zero.triggers()).Result()
	if err != nil {
		return nil, err
	}
	former, err := i.rdb.SMembers(ctx, zero.former()).Result()
	if err != nil {
		return nil, err
	}
	for _, name := range former {
		if !slices.Contains(names, name) { // else it was made again
			names = append(names, name)
		}
	}
	return names, nil
}

// partitionsOf is the greatest number of streams the broker ever had, at least 1.
func partitionsOf(ctx context.Context, rdb redis.UniversalClient, b Broker) (int, error) {
	n, err := rdb.HGet(ctx, newPartition(b, 0).meta(), "partitions").Int()
	if errors.Is(err, redis.Nil) {
		return 1, nil
	}
	if err != nil {
		return 0, err
	}
	return max(n, 1), nil
}

func countFrom(ctx context.Context, rdb redis.UniversalClient, stream, after string) (int64, error) {
	var n int64
	for n < lagLimit {
		entries, err := rdb.XRangeN(ctx, stream, "("+after, "+", 1000).Result()
		if err != nil {
			return 0, err
		}
		n += int64(len(entries))
		if len(entries) < 1000 {
			return n, nil
		}
		after = entries[len(entries)-1].ID
	}
	return n, nil
}

func lessID(a, b string) bool {
	am, as, _ := splitID(a)
	bm, bs, _ := splitID(b)
	return am < bm || (am == bm && as < bs)
}

func rangeTo(most, offset, count int64) *redis.ZRangeBy {
	return &redis.ZRangeBy{Min: "-inf", Max: millis(most), Offset: offset, Count: count}
}

func atoi(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil
}
