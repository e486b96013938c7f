package broker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/redis/go-redis/v9"
)

// ErrNotFound is returned for a dead letter, trigger or broker that is not there
// (any more).
var ErrNotFound = errors.New("not found")

// deadRecord is what is kept beside a dead event.
type deadRecord struct {
	retryState

	Taken bool `json:"taken,omitempty"`
}

func (d deadRecord) encode() []byte {
	b, _ := json.Marshal(d) // numbers and bytes always encode
	return b
}

// decodeDead gives a zero record for what it cannot read: the event matters more.
func decodeDead(s string) deadRecord {
	var d deadRecord
	if json.Unmarshal([]byte(s), &d) != nil {
		return deadRecord{}
	}
	return d
}

// DeadLetter is an event that one Trigger could not deliver.
type DeadLetter struct {
	// ID is opaque, stable and safe in a URL.
	ID        string `json:"id"`
	Namespace string `json:"namespace"`
	Broker    string `json:"broker"`
	Trigger   string `json:"trigger"`
	// Subscriber is where the event could not be delivered to.
	Subscriber string `json:"subscriber"`
	// Code is the last HTTP status; 500 if there was no answer.
	Code int `json:"code"`
	// Reason is the beginning of the last answer's body, or the error.
	Reason   string `json:"reason"`
	Attempts int    `json:"attempts"`
	// Taken says that a dead letter sink took the event.
	Taken bool `json:"taken"`
	// Stored is when the event entered the broker, First when it failed first,
	// Died when it was given up.
	Stored time.Time `json:"stored"`
	First  time.Time `json:"first_failed"`
	Died   time.Time `json:"died"`
	// Event is the event as it was published.
	Event event.Event `json:"event"`
}

// DeadLetterQuery selects dead letters. Its zero value selects all, up to 100.
type DeadLetterQuery struct {
	// Namespace, Broker and Trigger narrow the search where they are set.
	Namespace, Broker, Trigger string
	// Before keeps to those that died before it, to page on.
	Before time.Time
	// Limit is 100 if 0.
	Limit int
}

// DeadLetters lists dead letters, the latest first.
func (i *Inspector) DeadLetters(ctx context.Context, q DeadLetterQuery) ([]DeadLetter, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	var all []DeadLetter
	err := i.eachTrigger(ctx, func(b Broker, partitions int, trigger string) error {
		if (q.Namespace != "" && q.Namespace != b.Namespace) || (q.Broker != "" && q.Broker != b.Name) ||
			(q.Trigger != "" && q.Trigger != trigger) {
			return nil
		}
		for n := range partitions {
			letters, err := i.deadLetters(ctx, newPartition(b, n), trigger, q)
			if err != nil {
				return err
			}
			all = append(all, letters...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	sort.SliceStable(all, func(a, b int) bool { return all[a].Died.After(all[b].Died) })
	return all[:min(len(all), q.Limit)], nil
}

func (i *Inspector) deadLetters(ctx context.Context, p partition, trigger string, q DeadLetterQuery) ([]DeadLetter, error) {
	ctx, cancel := i.call(ctx)
	defer cancel()
	most := "+inf"
	if !q.Before.IsZero() {
		most = "(" + millis(q.Before.UnixMilli())
	}
	ids, err := i.rdb.ZRevRangeByScore(ctx, p.buried(trigger),
		&redis.ZRangeBy{Min: "-inf", Max: most, Count: int64(q.Limit)}).Result()
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	fields := append(prefixed("m:", ids), prefixed("p:", ids)...)
	values, err := i.rdb.HMGet(ctx, p.dead(trigger), fields...).Result()
	if err != nil {
		return nil, err
	}
	var letters []DeadLetter
	for n, id := range ids {
		record, _ := values[n].(string)
		payload, ok := values[n+len(ids)].(string)
		if !ok {
			continue // redriven or discarded meanwhile
		}
		letters = append(letters, newDeadLetter(p, trigger, id, record, payload))
	}
	return letters, nil
}

func newDeadLetter(p partition, trigger, id, record, payload string) DeadLetter {
	d := decodeDead(record)
	letter := DeadLetter{
		ID:        deadLetterID(p, trigger, id),
		Namespace: p.broker.Namespace, Broker: p.broker.Name, Trigger: trigger,
		Subscriber: d.Dest, Code: d.Code, Reason: strings.ToValidUTF8(string(d.Data), "�"),
		Attempts: d.Attempts, Taken: d.Taken,
		Stored: idTime(id), First: time.UnixMilli(d.First).UTC(), Died: time.UnixMilli(d.Died).UTC(),
	}
	if m, err := decode(payload); err == nil {
		letter.Event = m.event(true)
	}
	return letter
}

// DeadLetter gives one dead letter, or ErrNotFound.
func (i *Inspector) DeadLetter(ctx context.Context, id string) (DeadLetter, error) {
	p, trigger, entry, err := parseDeadLetterID(id)
	if err != nil {
		return DeadLetter{}, err
	}
	ctx, cancel := i.call(ctx)
	defer cancel()
	values, err := i.rdb.HMGet(ctx, p.dead(trigger), "m:"+entry, "p:"+entry).Result()
	if err != nil {
		return DeadLetter{}, fmt.Errorf("read dead letter: %w", err)
	}
	record, _ := values[0].(string)
	payload, ok := values[1].(string)
	if !ok {
		return DeadLetter{}, fmt.Errorf("dead letter %s: %w", id, ErrNotFound)
	}
	return newDeadLetter(p, trigger, entry, record, payload), nil
}

// Redrive gives a dead letter to its Trigger again, at once and with all its
// attempts. Other Triggers do not see it. It may return ErrNotFound, also where
// the Trigger has been removed.
func (i *Inspector) Redrive(ctx context.Context, id string) error {
	p, trigger, entry, err := parseDeadLetterID(id)
	if err != nil {
		return err
	}
	ctx, cancel := i.call(ctx)
	defer cancel()
	if _, err := i.find(ctx, triggerKey{p.broker.Namespace, p.broker.Name, trigger}); err != nil {
		return fmt.Errorf("redrive dead letter: %w", err)
	}
	n, err := redriveScript.Run(ctx, i.rdb,
		[]string{p.due(trigger), p.retries(trigger), p.buried(trigger), p.dead(trigger)},
		entry, i.now().UnixMilli(), retryState{}.encode()).Int()
	if err != nil {
		return fmt.Errorf("redrive dead letter: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("dead letter %s: %w", id, ErrNotFound)
	}
	return i.announce(ctx, triggerKey{p.broker.Namespace, p.broker.Name, trigger})
}

// Discard forgets a dead letter for good. It may return ErrNotFound.
func (i *Inspector) Discard(ctx context.Context, id string) error {
	p, trigger, entry, err := parseDeadLetterID(id)
	if err != nil {
		return err
	}
	ctx, cancel := i.call(ctx)
	defer cancel()
	n, err := discardScript.Run(ctx, i.rdb, []string{p.buried(trigger), p.dead(trigger)}, entry).Int()
	if err != nil {
		return fmt.Errorf("discard dead letter: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("dead letter %s: %w", id, ErrNotFound)
	}
	return nil
}

func deadLetterID(p partition, trigger, entry string) string {
	return base64.RawURLEncoding.EncodeToString(
		[]byte(strings.Join([]string{p.broker.Namespace, p.broker.Name, itoa(p.index), trigger, entry}, "/")))
}

// parseDeadLetterID gives ErrNotFound for what is no id of ours.
func parseDeadLetterID(id string) (partition, string, string, error) {
	bad := fmt.Errorf("dead letter %q: %w", clip(id, 64), ErrNotFound)
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		return partition{}, "", "", bad
	}
	f := strings.Split(string(raw), "/")
	if len(f) != 5 {
		return partition{}, "", "", bad
	}
	n, ok := atoi(f[2])
	if _, _, isID := splitID(f[4]); !ok || !isID || n < 0 ||
		errors.Join(checkName("namespace", f[0]), checkName("broker", f[1]), checkName("trigger", f[3])) != nil {
		return partition{}, "", "", bad
	}
	return newPartition(Broker{Namespace: f[0], Name: f[1]}, n), f[3], f[4], nil
}
