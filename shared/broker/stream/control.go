package stream

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Paused lists a Broker's paused Triggers.
func (s *Store) Paused(ctx context.Context, b Broker) (map[string]bool, error) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	names, err := s.rdb.SMembers(ctx, s.Partition(b, 0).keys.of("paused")).Result()
	if err != nil {
		return nil, fmt.Errorf("list paused triggers: %w", err)
	}
	paused := make(map[string]bool, len(names))
	for _, name := range names {
		paused[name] = true
	}
	return paused, nil
}

// SetPaused pauses or resumes a Trigger in all processes.
func (s *Store) SetPaused(ctx context.Context, b Broker, trigger string, paused bool) error {
	call, cancel := s.call(ctx)
	defer cancel()
	key := s.Partition(b, 0).keys.of("paused")
	var err error
	if paused {
		err = s.rdb.SAdd(call, key, trigger).Err()
	} else {
		err = s.rdb.SRem(call, key, trigger).Err()
	}
	if err != nil {
		return fmt.Errorf("pause or resume trigger %s: %w", trigger, err)
	}
	return s.Announce(ctx, b, trigger)
}

// Announce wakes the processes that deliver a Trigger: it was paused, resumed or
// given something to do. A lost message costs seconds, no more.
func (s *Store) Announce(ctx context.Context, b Broker, trigger string) error {
	ctx, cancel := s.call(ctx)
	defer cancel()
	if err := s.rdb.Publish(ctx, controlChannel(s.cfg.Prefix), b.String()+"/"+trigger).Err(); err != nil {
		return fmt.Errorf("announce change of trigger %s: %w", trigger, err)
	}
	return nil
}

// Watch subscribes to what Announce tells: "namespace/broker/trigger".
func (s *Store) Watch(ctx context.Context) *redis.PubSub {
	return s.blocking.Subscribe(ctx, controlChannel(s.cfg.Prefix))
}
