package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// leaseBatch is how many due entries are taken at once.
const leaseBatch = 32

// redeliver delivers what is due in the retry set. It sleeps until the next due
// time, a postponed entry or a wake-up through Redis; and looks again after
// Config.ClaimIdle, for what a dead process left behind.
func (l *lane) redeliver(reading, work context.Context) {
	wait := newBackoff(50*time.Millisecond, 2*time.Second)
	for l.sub.whileRunning(reading) {
		entries, next, err := l.lease(reading)
		if err != nil {
			if reading.Err() != nil {
				return
			}
			l.srv.log.WarnContext(reading, "Retries cannot be read", "trigger", l.sub.trigger.key().String(), "error", err)
			if !wait.sleep(reading) {
				return
			}
			continue
		}
		wait.reset()
		if len(entries) > 0 {
			for _, e := range entries {
				l.submit(reading, work, []*entry{e})
			}
			continue
		}
		if !l.rest(reading, next) {
			return
		}
	}
}

// rest waits for the next due time, but not past Config.ClaimIdle.
func (l *lane) rest(ctx context.Context, next time.Time) bool {
	d := l.srv.cfg.ClaimIdle
	if !next.IsZero() {
		d = min(d, max(next.Sub(l.srv.cfg.now()), 0))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.wakeRetries:
	case <-ctx.Done():
		return false
	}
	return true
}

// lease takes due entries for Config.ClaimIdle; the keeper renews the lease. The
// time returned is the next due one, zero if there is none.
func (l *lane) lease(ctx context.Context) ([]*entry, time.Time, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*l.srv.cfg.RedisTimeout)
	defer cancel()
	t, now := l.sub.trigger.Name, l.srv.cfg.now()
	got, err := leaseScript.Run(ctx, l.srv.rdb, []string{l.part.due(t), l.part.retries(t)},
		now.UnixMilli(), now.Add(l.srv.cfg.ClaimIdle).UnixMilli(), leaseBatch, l.srv.consumer).StringSlice()
	if err != nil {
		return nil, time.Time{}, err
	}
	if len(got) < 2 || len(got)%3 != 2 {
		return nil, time.Time{}, fmt.Errorf("lease retries: %d values in the answer", len(got))
	}
	var next time.Time
	if got[0] != "" {
		score, err := strconv.ParseFloat(got[0], 64)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("parse due time: %w", err)
		}
		next = time.UnixMilli(int64(score))
	}
	if lost, err := strconv.Atoi(got[1]); err == nil && lost > 0 {
		l.sub.metrics.lost.Add(float64(lost))
	}
	var entries []*entry
	for got = got[2:]; len(got) > 0; got = got[3:] {
		if e := l.retry(ctx, got[0], got[1], got[2]); e != nil {
			entries = append(entries, e)
		}
	}
	return entries, next, nil
}

func (l *lane) retry(ctx context.Context, id, state, payload string) *entry {
	e, ok := l.open(ctx, id, map[string]any{"e": payload})
	if !ok {
		l.acks.done(id, true)
		return nil
	}
	if err := json.Unmarshal([]byte(state), &e.state); err != nil {
		l.srv.log.ErrorContext(ctx, "Retry state is unreadable and begins anew", "entry_id", id, "error", err)
		e.state = retryState{}
	}
	e.leased = true
	if !l.held.add(id, true) {
		return nil // in flight here already
	}
	return e
}
