package wait

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

// Due leases waits that somebody has to look at, at most perShard of each
// shard, for the time of lease: nobody else gets them until then. What is done
// with one decides when it is due next; where nothing is done, because whoever
// leased it died, it comes up again when the lease ends. The cost is that of
// what is due, not of what waits. more tells that a shard had perShard or more.
func (w *Waits) Due(ctx context.Context, perShard int, lease time.Duration) (due []Record, more bool, err error) {
	now, end := w.ms(), w.after(lease)
	cmds := make([]*redis.Cmd, w.cfg.Shards)
	if err := w.pipeline(ctx, leaseScript, func(run func(keys []string, args ...any) *redis.Cmd) {
		for n := range cmds {
			s := w.keys.shard(n)
			cmds[n] = run([]string{s.due}, now, end, perShard, s.records)
		}
	}); err != nil {
		return nil, false, fmt.Errorf("lease due waits: %w", err)
	}
	for _, cmd := range cmds {
		pairs, err := cmd.Slice()
		if err != nil {
			return nil, false, fmt.Errorf("lease due waits: %w", err)
		}
		more = more || len(pairs)/2 >= perShard
		for i := 0; i+1 < len(pairs); i += 2 {
			id, _ := pairs[i].(string)
			fields, _ := pairs[i+1].([]any)
			jobID, ok := unpack(id)
			if !ok {
				continue
			}
			r, err := w.decode(jobID, fields)
			if err != nil {
				// One that can't be read must not hold up the others.
				slog.ErrorContext(ctx, "Wait record unreadable", "job_id", jobID, "error", err)
				continue
			}
			due = append(due, r)
		}
	}
	return due, more, nil
}

// pipeline sends many runs of one script in one round trip. A server that does
// not know the script yet is told, and asked again.
func (w *Waits) pipeline(ctx context.Context, s *redis.Script, fill func(run func(keys []string, args ...any) *redis.Cmd)) error {
	for try := 0; ; try++ {
		p := w.redis.Pipeline()
		fill(func(keys []string, args ...any) *redis.Cmd { return s.EvalSha(ctx, p, keys, args...) })
		_, err := p.Exec(ctx)
		if err == nil || try == 1 || !redis.HasErrorPrefix(err, "NOSCRIPT") {
			return err
		}
		if err := s.Load(ctx, w.redis).Err(); err != nil {
			return err
		}
	}
}

// Schedule says when the wait is looked at next. It is false, and nothing
// happens, where its state is no longer r's.
func (w *Waits) Schedule(ctx context.Context, r Record, at time.Time) (bool, error) {
	id, _ := pack(r.Header.JobID)
	return w.flag(ctx, "schedule", scheduleScript, r.Header.JobID, w.keys.of(id), id, r.State.letter(), at.UnixMilli())
}

// Progress notes a poll that found the sweep not ended, or completed without
// its run id, and says when to poll next. It is false where the wait is over.
func (w *Waits) Progress(ctx context.Context, r Record, percent int, runIDMissing bool, next time.Time) (bool, error) {
	id, _ := pack(r.Header.JobID)
	missing := ""
	if runIDMissing {
		missing = "1"
	}
	return w.flag(ctx, "note progress", progressScript, r.Header.JobID, w.keys.of(id),
		id, percent, next.UnixMilli(), missing, w.keys.changes(), w.resultDeadline(r.StartedAt).UnixMilli())
}

// Forget sends a wait back to be submitted again, because the API does not know
// its sweep any more. It keeps its slot and has a new time in line.
func (w *Waits) Forget(ctx context.Context, r Record) (Record, bool, error) {
	id, _ := pack(r.Header.JobID)
	outcome, back, err := w.step(ctx, "forget sweep", forgetScript, r.Header.JobID, id,
		packTradingID(r.TradingJobID), w.after(w.cfg.QueueTimeout), w.ms(), w.keys.changes())
	return back, outcome == 1, err
}
