package broker

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// claimBatch is how many entries are taken over at once.
const claimBatch = 64

// recover takes over entries whose owner has stopped renewing them, at start and
// then twice in every idle time. It uses XAUTOCLAIM only, which looks at the
// idle time and resets it in one step: of several processes one gets the entry.
func (l *lane) recover(reading, work context.Context) {
	for l.sub.whileRunning(reading) {
		l.claimAll(reading, work)
		l.retireDead(reading)
		if !sleep(reading, l.srv.cfg.ClaimIdle/2) {
			return
		}
	}
}

func (l *lane) claimAll(reading, work context.Context) {
	start := "0-0"
	for reading.Err() == nil {
		entries, next, err := l.claim(reading, start)
		if err != nil {
			if !hasCode(err, "NOGROUP") { // the reader makes it again
				l.srv.log.WarnContext(reading, "Entries cannot be claimed", "trigger", l.sub.trigger.key().String(), "error", err)
			}
			return
		}
		l.accept(reading, work, entries)
		if next == "0-0" {
			return
		}
		start = next
	}
}

// claim is not cut short when reading ends, like fetch.
func (l *lane) claim(ctx context.Context, start string) ([]redis.XMessage, string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*l.srv.cfg.RedisTimeout)
	defer cancel()
	entries, next, deleted, err := l.srv.rdb.XAutoClaimWithDeleted(ctx, &redis.XAutoClaimArgs{
		Stream: l.part.stream(), Group: l.sub.trigger.Name, Consumer: l.srv.consumer,
		MinIdle: l.srv.cfg.ClaimIdle, Start: start, Count: claimBatch,
	}).Result()
	if err != nil {
		return nil, "", err
	}
	if len(deleted) > 0 { // Redis has taken them off the pending list itself
		l.sub.metrics.deleted.Add(float64(len(deleted)))
		l.srv.log.WarnContext(ctx, "Pending entries were deleted", "trigger", l.sub.trigger.key().String(), "entries", len(deleted))
	}
	l.sub.metrics.claimed.Add(float64(len(entries)))
	return entries, next, nil
}

// retireDead removes consumers of processes that are gone, which would otherwise
// pile up, one for each restart: those that have nothing pending and have not
// been heard of for long.
func (l *lane) retireDead(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*l.srv.cfg.RedisTimeout)
	defer cancel()
	consumers, err := l.srv.rdb.XInfoConsumers(ctx, l.part.stream(), l.sub.trigger.Name).Result()
	if err != nil {
		return // nothing depends on it
	}
	quiet := 4*l.srv.cfg.ClaimIdle + 4*l.srv.cfg.Block
	for _, c := range consumers {
		if c.Name == l.srv.consumer || c.Pending > 0 || c.Idle < quiet {
			continue
		}
		if err := l.retire(ctx, c.Name); err != nil {
			return
		}
	}
}

func (l *lane) retire(ctx context.Context, consumer string) error {
	return retireScript.Run(ctx, l.srv.rdb, []string{l.part.stream()}, l.sub.trigger.Name, consumer).Err()
}

// retireSelf removes this process's consumers at the end. One that still has
// entries pending stays until they have been claimed.
func (s *Server) retireSelf(ctx context.Context) {
	ctx, cancel := s.call(ctx)
	defer cancel()
	for _, sub := range s.running() {
		for _, l := range sub.lanes {
			if err := l.retire(ctx, s.consumer); err != nil {
				return // others will retire it
			}
		}
	}
}
