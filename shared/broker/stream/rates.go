package stream

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Rate is what became of the deliveries of a Trigger in some time.
type Rate struct {
	// Delivered counts events, Failed attempts, DeadLettered events.
	Delivered, Failed, DeadLettered int64
	// latencies counts delivered events by how long after they were stored, in steps of a
	// quarter of a doubling.
	latencies map[int]int64
}

// Deliver counts an event that was delivered so long after it was stored.
func (r *Rate) Deliver(after time.Duration) {
	r.Delivered++
	if r.latencies == nil {
		r.latencies = map[int]int64{}
	}
	r.latencies[latencyStep(after)]++
}

// Add counts what another Rate counts as well.
func (r *Rate) Add(other *Rate) {
	r.Delivered += other.Delivered
	r.Failed += other.Failed
	r.DeadLettered += other.DeadLettered
	for step, n := range other.latencies {
		if r.latencies == nil {
			r.latencies = map[int]int64{}
		}
		r.latencies[step] += n
	}
}

// Quantile is the time within which a share (0 to 1) of the delivered events were
// delivered, at most a fifth too long; 0 where there are none.
func (r *Rate) Quantile(share float64) time.Duration {
	var all, seen int64
	steps := make([]int64, mostLatency+1)
	for step, n := range r.latencies {
		if step >= 0 && step <= mostLatency {
			steps[step] += n
			all += n
		}
	}
	for step, n := range steps {
		if seen += n; n > 0 && float64(seen) >= share*float64(all) {
			return latencyOf(step)
		}
	}
	return 0
}

// ratesAtOnce is how many counts a script adds to: Redis does nothing else meanwhile.
const ratesAtOnce = 500

// mostLatency is the step of all that took longer than 29 days.
const mostLatency = 126

// latencyStep is the number of the shortest step that is not exceeded.
func latencyStep(d time.Duration) int {
	ms := max(1, float64(d)/float64(time.Millisecond))
	return min(int(math.Ceil(4*math.Log2(ms))), mostLatency)
}

func latencyOf(step int) time.Duration {
	return time.Duration(math.Exp2(float64(step)/4) * float64(time.Millisecond))
}

// AddRates adds what became of deliveries, by Trigger, to what is kept of this hour and
// this day. It is kept in the first partition, for a day and for a month. After an error
// some of it may be written.
func (s *Store) AddRates(ctx context.Context, b Broker, rates map[string]*Rate) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	var args []any
	add := func(trigger, kind string, n int64) {
		if n > 0 {
			args = append(args, trigger+"/"+kind, n)
		}
	}
	for trigger, r := range rates {
		add(trigger, "ok", r.Delivered)
		add(trigger, "failed", r.Failed)
		add(trigger, "dead", r.DeadLettered)
		for step, n := range r.latencies {
			add(trigger, strconv.Itoa(step), n)
		}
	}
	for some := range slices.Chunk(args, 2*ratesAtOnce) {
		if err := s.Partition(b, 0).run(ctx, ratesScript, some...).Err(); err != nil {
			return fmt.Errorf("count deliveries of %s: %w", b, err)
		}
	}
	return nil
}

// RatePeriod is how long each of the times is that Rates tells of.
type RatePeriod struct {
	Every time.Duration
	key   string
}

// The times of which Rates are kept: the last 24 hours and the last 30 days.
var (
	Hourly = RatePeriod{time.Hour, "h"}
	Daily  = RatePeriod{24 * time.Hour, "d"}
)

// Rates returns what became of the deliveries of a Broker in each of the n times up to
// now, by Trigger; the last one goes on.
func (s *Store) Rates(ctx context.Context, b Broker, of RatePeriod, now time.Time, n int) ([]map[string]*Rate, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	keys, last := newKeys(s.cfg.Prefix, b, 0), now.UnixMilli()/of.Every.Milliseconds()
	pipe := s.rdb.Pipeline()
	replies := make([]*redis.MapStringStringCmd, n)
	for i := range replies {
		replies[i] = pipe.HGetAll(ctx, keys.rates(of.key, last-int64(n-1-i)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read rates of %s: %w", b, err)
	}
	all := make([]map[string]*Rate, n)
	for i, reply := range replies {
		all[i] = decodeRates(reply.Val())
	}
	return all, nil
}

// decodeRates leaves out what it does not know.
func decodeRates(fields map[string]string) map[string]*Rate {
	rates := map[string]*Rate{}
	for field, text := range fields {
		trigger, kind, ok := strings.Cut(field, "/")
		n, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil || n < 0 {
			continue
		}
		r := rates[trigger]
		if r == nil {
			r = &Rate{latencies: map[int]int64{}}
			rates[trigger] = r
		}
		switch kind {
		case "ok":
			r.Delivered = n
		case "failed":
			r.Failed = n
		case "dead":
			r.DeadLettered = n
		default:
			if step, err := strconv.Atoi(kind); err == nil {
				r.latencies[step] = n
			}
		}
	}
	return rates
}
