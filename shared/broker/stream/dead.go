package stream

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
)

// DeadLetter is an event that one Trigger could not deliver, as it is kept.
type DeadLetter struct {
	// ID is opaque, stable and safe in a URL.
	ID      string
	Broker  Broker
	Trigger string
	// Record is what was settled with it.
	Record []byte
	// Stored is when the event entered the broker, Died when it was given up.
	Stored, Died time.Time
	// Event is nil where it cannot be read.
	Event *cloudevent.Message
}

// DeadLetterQuery selects dead letters of a partition.
type DeadLetterQuery struct {
	Trigger string
	// Before pages on: what comes after the letter with this Position; empty for the
	// first page.
	Before string
	Limit  int
	// Bytes ends the list once so many were read, if letters follow; 0 for no bound.
	Bytes int64
}

// Position orders dead letters, the newest first. It stays what it is when others
// come and go.
// It tells nothing of the letter but when it died.
func (d DeadLetter) Position() string {
	sum := sha256.Sum256([]byte(d.ID))
	return fmt.Sprintf("%012x.%x", d.Died.UnixMilli(), sum[:8])
}

// ValidPosition reports whether s has the form of a Position.
func ValidPosition(s string) bool {
	ms, sum, ok := strings.Cut(s, ".")
	_, err := strconv.ParseInt(ms, 16, 64)
	return ok && err == nil && len(ms) == 12 && len(sum) == 16
}

// readAtOnce is the most, in bytes, that is read of dead letters with one call, unless
// one alone is larger: there may be hundreds on a page, of a MiB each.
const readAtOnce = 1 << 20

// DeadLetters gives a Trigger's dead letters to visit, the newest first, each as soon as
// it is read. What visit does not keep costs no memory beyond a MiB or two. more says
// that others may follow.
func (p *Partition) DeadLetters(ctx context.Context, q DeadLetterQuery, visit func(DeadLetter)) (more bool, err error) {
	ctx, cancel := p.store.call(ctx)
	defer cancel()
	most := "+inf"
	if q.Before != "" {
		ms, _, _ := strings.Cut(q.Before, ".")
		n, err := strconv.ParseInt(ms, 16, 64)
		if err != nil {
			return false, fmt.Errorf("list dead letters: position %q: %w", Clip(q.Before, 64), ErrNotFound)
		}
		most = strconv.FormatInt(n, 10)
	}
	visited, read := 0, int64(0)
	var found []placed // not in out yet, the newest first
	for offset := int64(0); ; {
		page, err := p.store.rdb.ZRevRangeByScoreWithScores(ctx, p.keys.deadLetters(q.Trigger),
			&redis.ZRangeBy{Min: "-inf", Max: most, Offset: offset, Count: pageSize}).Result()
		if err != nil {
			return false, fmt.Errorf("list dead letters: %w", err)
		}
		for _, z := range page {
			at := p.place(q.Trigger, z)
			if q.Before == "" || at < q.Before {
				found = append(found, placed{z, at})
			}
		}
		sort.Slice(found, func(i, j int) bool { return found[i].at > found[j].at })
		last := len(page) < pageSize
		ready := len(found)
		if !last { // within one millisecond the set has an order of its own: read to its end
			oldest := page[len(page)-1].Score
			ready, _ = slices.BinarySearchFunc(found, oldest, func(f placed, score float64) int { return cmp.Compare(score, f.z.Score) })
		}
		for ready > 0 && visited < q.Limit {
			n := min(ready, q.Limit-visited, pageSize)
			members := make([]redis.Z, n)
			for i, f := range found[:n] {
				members[i] = f.z
			}
			some, size, err := p.upTo(ctx, q.Trigger, members, readAtOnce)
			if err != nil {
				return false, err
			}
			letters, err := p.letters(ctx, q.Trigger, some)
			if err != nil {
				return false, err
			}
			for _, l := range letters {
				visit(l)
			}
			visited, read = visited+len(letters), read+size
			found, ready = found[len(some):], ready-len(some)
			if q.Bytes > 0 && read >= q.Bytes && visited > 0 {
				return true, nil
			}
		}
		if last || visited >= q.Limit {
			return visited >= q.Limit, nil
		}
		offset += int64(len(page))
	}
}

// upTo gives the first of members whose payloads have so many bytes together, one at
// least, and how many they have.
func (p *Partition) upTo(ctx context.Context, trigger string, members []redis.Z, most int64) (some []redis.Z, bytes int64, err error) {
	sizes := make([]*redis.IntCmd, len(members))
	_, err = p.store.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, z := range members {
			id, _ := z.Member.(string)
			sizes[i] = pipe.HStrLen(ctx, p.keys.dead(trigger), "p:"+id)
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("measure dead letters: %w", err)
	}
	for i, size := range sizes {
		if bytes+size.Val() > most && i > 0 {
			return members[:i], bytes, nil
		}
		bytes += size.Val()
	}
	return members, bytes, nil
}

// placed is a member of the set of dead letters, and its Position.
type placed struct {
	z  redis.Z
	at string
}

func (p *Partition) place(trigger string, z redis.Z) string {
	id, _ := z.Member.(string)
	return DeadLetter{ID: p.letterID(trigger, id), Died: time.UnixMilli(int64(z.Score))}.Position()
}

func (p *Partition) letters(ctx context.Context, trigger string, page []redis.Z) ([]DeadLetter, error) {
	if len(page) == 0 {
		return nil, nil
	}
	fields := make([]string, 0, 2*len(page))
	for _, z := range page {
		id, _ := z.Member.(string)
		fields = append(fields, "m:"+id, "p:"+id)
	}
	values, err := p.store.rdb.HMGet(ctx, p.keys.dead(trigger), fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	var out []DeadLetter
	for i, z := range page {
		id, _ := z.Member.(string)
		record, _ := values[2*i].(string)
		payload, ok := values[2*i+1].(string)
		if !ok {
			continue // redriven or discarded meanwhile
		}
		out = append(out, p.letter(trigger, id, record, payload, int64(z.Score)))
	}
	return out, nil
}

func (p *Partition) letter(trigger, id, record, payload string, died int64) DeadLetter {
	d := DeadLetter{
		ID: p.letterID(trigger, id), Broker: p.Broker, Trigger: trigger, Record: []byte(record),
		Stored: IDTime(id), Died: time.UnixMilli(died).UTC(),
	}
	if m, err := cloudevent.Decode(payload); err == nil {
		d.Event = m
	}
	return d
}

func (p *Partition) letterID(trigger, entry string) string {
	return base64.RawURLEncoding.EncodeToString(
		[]byte(strings.Join([]string{p.Broker.Namespace, p.Broker.Name, strconv.Itoa(p.Index), trigger, entry}, "/")))
}

// findLetter reads an id that letterID gave. It returns ErrNotFound for what is
// no id of ours.
func (s *Store) findLetter(id string) (p *Partition, trigger, entry string, err error) {
	bad := fmt.Errorf("dead letter %q: %w", Clip(id, 64), ErrNotFound)
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(raw) > 1024 {
		return nil, "", "", bad
	}
	f := strings.Split(string(raw), "/")
	if len(f) != 5 {
		return nil, "", "", bad
	}
	n, err := strconv.Atoi(f[2])
	if _, _, isID := SplitID(f[4]); err != nil || !isID || n < 0 ||
		errors.Join(CheckName("namespace", f[0]), CheckName("broker", f[1]), CheckName("trigger", f[3])) != nil {
		return nil, "", "", bad
	}
	p = s.Partition(Broker{Namespace: f[0], Name: f[1]}, n)
	if p.letterID(f[3], f[4]) != id { // base64 takes line breaks anywhere, and numbers have many spellings
		return nil, "", "", bad
	}
	return p, f[3], f[4], nil
}

// DeadLetter returns one dead letter, or ErrNotFound.
func (s *Store) DeadLetter(ctx context.Context, id string) (DeadLetter, error) {
	p, trigger, entry, err := s.findLetter(id)
	if err != nil {
		return DeadLetter{}, err
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	died, err := s.rdb.ZScore(ctx, p.keys.deadLetters(trigger), entry).Result()
	if err != nil && !isNil(err) {
		return DeadLetter{}, fmt.Errorf("read dead letter: %w", err)
	}
	letters, err := p.letters(ctx, trigger, []redis.Z{{Member: entry, Score: died}})
	if err != nil {
		return DeadLetter{}, err
	}
	if len(letters) == 0 {
		return DeadLetter{}, fmt.Errorf("dead letter %s: %w", Clip(id, 64), ErrNotFound)
	}
	return letters[0], nil
}

// Redrive gives a dead letter to its Trigger again, at once and with all its
// attempts. It may return ErrNotFound, also where the Trigger has been removed.
func (s *Store) Redrive(ctx context.Context, id string) (Broker, string, error) {
	d, err := s.DeadLetter(ctx, id)
	if err != nil {
		return Broker{}, "", err
	}
	p, trigger, entry, err := s.findLetter(id)
	if err != nil {
		return Broker{}, "", err
	}
	table, err := p.loadRoutes(ctx)
	if err != nil {
		return Broker{}, "", err
	}
	at := slices.IndexFunc(table.list, func(r route) bool { return r.name == trigger && !r.removed })
	if at < 0 {
		return Broker{}, "", fmt.Errorf("trigger %s: %w", trigger, ErrNotFound)
	}
	key := ""
	if table.list[at].ordered && d.Event != nil {
		key = orderKey(d.Event)
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	n, err := p.run(ctx, redriveScript, trigger, entry, key, entry).Int()
	if err != nil {
		return Broker{}, "", fmt.Errorf("redrive dead letter: %w", err)
	}
	if n == 0 {
		return Broker{}, "", fmt.Errorf("dead letter %s: %w", Clip(id, 64), ErrNotFound)
	}
	return p.Broker, trigger, nil
}

// Discard forgets a dead letter for good. It may return ErrNotFound.
func (s *Store) Discard(ctx context.Context, id string) error {
	p, trigger, entry, err := s.findLetter(id)
	if err != nil {
		return err
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	n, err := p.run(ctx, discardScript, trigger, entry).Int()
	if err != nil {
		return fmt.Errorf("discard dead letter: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("dead letter %s: %w", Clip(id, 64), ErrNotFound)
	}
	return nil
}

// ForgetDead drops a Trigger's dead letters that are older than age and that drop
// says may go.
func (p *Partition) ForgetDead(ctx context.Context, trigger string, age time.Duration, drop func(record []byte) bool) error {
	ctx, cancel := p.store.call(ctx)
	defer cancel()
	now, err := p.store.rdb.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("forget dead letters: %w", err)
	}
	until := strconv.FormatInt(now.Add(-age).UnixMilli(), 10)
	for offset := int64(0); ; {
		page, err := p.store.rdb.ZRangeByScoreWithScores(ctx, p.keys.deadLetters(trigger),
			&redis.ZRangeBy{Min: "-inf", Max: until, Offset: offset, Count: pageSize}).Result()
		if err != nil || len(page) == 0 {
			return err
		}
		letters, err := p.letters(ctx, trigger, page)
		if err != nil {
			return err
		}
		var gone []any
		for _, d := range letters {
			if drop(d.Record) {
				_, _, entry, _ := p.store.findLetter(d.ID)
				gone = append(gone, entry)
			}
		}
		if len(gone) > 0 {
			if err := p.run(ctx, discardScript, append([]any{trigger}, gone...)...).Err(); err != nil {
				return fmt.Errorf("forget dead letters: %w", err)
			}
		}
		offset += int64(len(page) - len(gone))
		if len(page) < pageSize {
			return nil
		}
	}
}

// Clip is s without what comes after its first n bytes.
func Clip(s string, n int) string { return s[:min(len(s), n)] }

// CheckName accepts what Kubernetes accepts for object names: letters that need no
// escaping in a URL or a Redis key.
func CheckName(field, s string) error {
	if s == "" || len(s) > 253 {
		return fmt.Errorf("%s: must have 1 to 253 characters", field)
	}
	if i := strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	}); i >= 0 {
		return fmt.Errorf("%s: %q may hold only a–z, 0–9, '-' and '.'", field, s)
	}
	return nil
}
