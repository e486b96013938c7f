//go:build linux

package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// shape is all keys of Redis whose names differ only in what is one job's.
type shape struct {
	Pattern, Type string
	Keys          int
	// Forever counts those without a time to live, Items what is in them.
	Forever int
	Items   int64
	// Bytes is what those without a time to live take.
	Bytes int64
}

// census is what stands in Redis.
type census struct {
	Shapes []shape
	Keys   int64
	// Dataset is the bytes of data, without Redis' own buffers.
	Dataset int64
	// Pending counts the entries of consumer groups that nobody acknowledged.
	Pending int64
	Clients int64
}

// What makes the names of keys differ from job to job, or from run to run.
var varying = []*regexp.Regexp{
	regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`),
	regexp.MustCompile(`[A-Za-z0-9_-]{20,}`),
	regexp.MustCompile(`[0-9]+`),
}

func patternOf(key string) string {
	for _, v := range varying {
		key = v.ReplaceAllString(key, "*")
	}
	return key
}

// count takes the census.
func (r *redisServer) count(ctx context.Context) (census, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var c census
	by := map[string]*shape{}
	err := r.scan(ctx, func(keys []string) error {
		for _, k := range keys {
			if err := r.measure(ctx, k, by, &c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return census{}, fmt.Errorf("count keys: %w", err)
	}
	for _, s := range by {
		c.Shapes = append(c.Shapes, *s)
	}
	slices.SortFunc(c.Shapes, func(a, b shape) int { return strings.Compare(a.Pattern+a.Type, b.Pattern+b.Type) })
	stats, err := r.admin.Do(ctx, "MEMORY", "STATS").Slice()
	if err != nil {
		return census{}, fmt.Errorf("count memory: %w", err)
	}
	for i := 0; i+1 < len(stats); i += 2 {
		if stats[i] == "dataset.bytes" {
			c.Dataset, _ = stats[i+1].(int64)
		}
	}
	c.Clients, err = r.info(ctx, "clients", "connected_clients")
	return c, err
}

// scan hands out all keys, some at a time.
func (r *redisServer) scan(ctx context.Context, do func(keys []string) error) error {
	seen := map[string]bool{} // SCAN may return a key twice
	for cursor := uint64(0); ; {
		keys, next, err := r.admin.Scan(ctx, cursor, "", 500).Result()
		if err != nil {
			return err
		}
		keys = slices.DeleteFunc(keys, func(k string) bool { was := seen[k]; seen[k] = true; return was })
		if err := do(keys); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (r *redisServer) measure(ctx context.Context, key string, by map[string]*shape, c *census) error {
	typ, err := r.admin.Type(ctx, key).Result()
	if err != nil {
		return err
	}
	left, err := r.admin.PTTL(ctx, key).Result()
	if err != nil || typ == "none" { // expired meanwhile
		return err
	}
	c.Keys++
	name := patternOf(key) + " " + typ
	s := by[name]
	if s == nil {
		s = &shape{Pattern: patternOf(key), Type: typ}
		by[name] = s
	}
	s.Keys++
	if typ == "stream" {
		groups, err := r.admin.XInfoGroups(ctx, key).Result()
		if err != nil && err != goredis.Nil { //nolint:errorlint // returned as it is
			return err
		}
		for _, g := range groups {
			c.Pending += g.Pending
		}
	}
	if left != -1 { // -1: no time to live
		return nil
	}
	s.Forever++
	size := map[string]string{"list": "LLEN", "set": "SCARD", "zset": "ZCARD", "hash": "HLEN", "stream": "XLEN"}[typ]
	if size == "" {
		s.Items++
	} else {
		n, err := r.admin.Do(ctx, size, key).Int64()
		if err != nil {
			return err
		}
		s.Items += n
	}
	bytes, err := r.admin.Do(ctx, "MEMORY", "USAGE", key, "SAMPLES", "0").Int64()
	s.Bytes += bytes
	return err
}

// passTime lets everything end that has a time to live, as days would.
func (r *redisServer) passTime(ctx context.Context) error {
	return r.scan(ctx, func(keys []string) error {
		pipe := r.admin.Pipeline()
		left := make([]*goredis.DurationCmd, len(keys))
		for i, k := range keys {
			left[i] = pipe.PTTL(ctx, k)
		}
		if _, err := pipe.Exec(ctx); err != nil && len(keys) > 0 {
			return fmt.Errorf("read times to live: %w", err)
		}
		for i, k := range keys {
			if left[i].Val() > 0 {
				if err := r.admin.Del(ctx, k).Err(); err != nil {
					return fmt.Errorf("end key: %w", err)
				}
			}
		}
		return nil
	})
}
