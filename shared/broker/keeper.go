package broker

import (
	"context"
	"time"
)

const (
	// touchBatch bounds the entries of one renewal.
	touchBatch = 128
	// released is the idle time, in milliseconds, of an entry given back: more
	// than any Config.ClaimIdle.
	released = 1 << 40
)

// keep renews the claims and leases of what this process holds, at a third of
// the idle time after which others would take them.
func (l *lane) keep(ctx context.Context) {
	every := l.srv.cfg.ClaimIdle / 3
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		pending, leased := l.held.olderThan(every / 2)
		for chunk := range chunks(pending, touchBatch) {
			if err := l.touch(ctx, chunk, 0); err != nil {
				l.srv.log.WarnContext(ctx, "Claims cannot be renewed", "trigger", l.sub.trigger.key().String(), "error", err)
				break
			}
			l.held.renewed(chunk)
		}
		for chunk := range chunks(leased, touchBatch) {
			if err := l.renew(ctx, chunk, l.srv.cfg.now().Add(l.srv.cfg.ClaimIdle), false); err != nil {
				l.srv.log.WarnContext(ctx, "Leases cannot be renewed", "trigger", l.sub.trigger.key().String(), "error", err)
				break
			}
			l.held.renewed(chunk)
		}
	}
}

// giveBack hands what is still held to whoever claims next, without the wait.
func (l *lane) giveBack(ctx context.Context) {
	pending, leased := l.held.olderThan(0)
	for chunk := range chunks(pending, touchBatch) {
		if err := l.touch(ctx, chunk, released); err != nil {
			l.srv.log.WarnContext(ctx, "Entries are not given back and will be claimed later",
				"trigger", l.sub.trigger.key().String(), "error", err)
			return
		}
	}
	for chunk := range chunks(leased, touchBatch) {
		if err := l.renew(ctx, chunk, l.srv.cfg.now(), true); err != nil {
			l.srv.log.WarnContext(ctx, "Retries are not given back and will be due later",
				"trigger", l.sub.trigger.key().String(), "error", err)
			return
		}
	}
	l.held.remove(pending...)
	l.held.remove(leased...)
}

func (l *lane) touch(ctx context.Context, ids []string, idle int64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*l.srv.cfg.RedisTimeout)
	defer cancel()
	args := append([]any{l.sub.trigger.Name, l.srv.consumer, idle}, anys(ids)...)
	err := touchScript.Run(ctx, l.srv.rdb, []string{l.part.stream()}, args...).Err()
	if hasCode(err, "NOGROUP") {
		return nil // flushed: there is nothing to claim
	}
	return err
}

func (l *lane) renew(ctx context.Context, ids []string, until time.Time, giveBack bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*l.srv.cfg.RedisTimeout)
	defer cancel()
	back := "0"
	if giveBack {
		back = "1"
	}
	t := l.sub.trigger.Name
	args := append([]any{until.UnixMilli(), l.srv.consumer, back}, anys(ids)...)
	return renewScript.Run(ctx, l.srv.rdb, []string{l.part.due(t), l.part.retries(t)}, args...).Err()
}

// chunks yields s in pieces of at most n.
func chunks[T any](s []T, n int) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(s) > 0 {
			k := min(n, len(s))
			if !yield(s[:k]) {
				return
			}
			s = s[k:]
		}
	}
}
