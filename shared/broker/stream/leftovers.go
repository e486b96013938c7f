package stream

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Footprint is what Redis holds of one Broker.
type Footprint struct {
	Broker Broker
	Keys   int64
	// Alive: a process that delivers for it has shown so lately.
	Alive bool
	// Registered: it is among Brokers.
	Registered bool
}

// Footprints looks through all keys for what belongs to Brokers, registered or not. It
// takes as long as Redis has keys.
func (s *Store) Footprints(ctx context.Context) ([]Footprint, error) {
	registered, err := s.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	found := make(map[Broker]*Footprint, len(registered))
	of := func(b Broker) *Footprint {
		if found[b] == nil {
			found[b] = &Footprint{Broker: b}
		}
		return found[b]
	}
	for _, b := range registered {
		of(b).Registered = true
	}
	var mu sync.Mutex // nodes are looked at side by side
	err = eachNode(ctx, s.rdb, func(ctx context.Context, node redis.UniversalClient) error {
		scan := node.Scan(ctx, 0, s.cfg.Prefix+"{*}:*", 1000).Iterator()
		for scan.Next(ctx) {
			b, name, ok := s.ownerOf(scan.Val())
			if !ok {
				continue
			}
			mu.Lock()
			h := of(b)
			h.Keys++
			h.Alive = h.Alive || strings.HasPrefix(name, "alive:")
			mu.Unlock()
		}
		return scan.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("look through keys: %w", err)
	}
	out := make([]Footprint, 0, len(found))
	for _, h := range found {
		out = append(out, *h)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Broker.String() < out[j].Broker.String() })
	return out, nil
}

// ownerOf reads a key of a partition: "PREFIX{namespace/name/index}:rest".
func (s *Store) ownerOf(key string) (b Broker, rest string, ok bool) {
	tag, rest, ok := strings.Cut(strings.TrimPrefix(key, s.cfg.Prefix+"{"), "}:")
	parts := strings.Split(tag, "/")
	if !ok || len(parts) != 3 || strings.Trim(parts[2], "0123456789") != "" {
		return Broker{}, "", false
	}
	b = Broker{Namespace: parts[0], Name: parts[1]}
	return b, rest, b.Validate() == nil
}
