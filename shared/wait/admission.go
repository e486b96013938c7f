package wait

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// probeTime is how long the one job that tries out a recovered API may keep the
// others waiting.
const probeTime = 10 * time.Second

// acquire gives the job a slot (true) or a place in line.
func (w *Waits) acquire(ctx context.Context, r Record) (bool, error) {
	id, _ := pack(r.Header.JobID)
	k := w.keys
	return w.flag(ctx, "acquire slot", acquireScript, r.Header.JobID,
		[]string{k.slots(), k.line(), k.ring(), k.places(), k.later(), k.gate()},
		id, place(r.Header.TenantID, id, r.Header.CreatedAt.UnixMilli()), r.Header.TenantID,
		w.ms(), w.cfg.MaxConcurrent, w.after(w.cfg.TurnTimeout), w.after(probeTime), k.wakes())
}

// Admit gives free slots to those whose turn it is, at most n, and returns
// their ids; the caller calls Grant for each. again is when there will be
// somebody to admit for time alone; zero where only a slot can help. Should the
// caller die before Grant, the slot's lease runs out and StaleSlots tells.
func (w *Waits) Admit(ctx context.Context, n int) (jobIDs []string, again time.Time, err error) {
	k := w.keys
	out, err := admitScript.Run(ctx, w.redis,
		[]string{k.slots(), k.line(), k.ring(), k.places(), k.later(), k.gate()},
		w.ms(), w.cfg.MaxConcurrent, w.after(w.cfg.TurnTimeout), w.after(probeTime), n).StringSlice()
	if err != nil || len(out) == 0 {
		return nil, time.Time{}, fmt.Errorf("admit: %w", err)
	}
	if out[0] != "" {
		again = time.UnixMilli(number(out[0]))
	}
	return jobIDsOf(out[1:]), again, nil
}

func jobIDsOf(ids []string) []string {
	var out []string
	for _, id := range ids {
		if jobID, ok := unpack(id); ok {
			out = append(out, jobID)
		}
	}
	return out
}

// Grant counts a turn for a parked job that has a slot; the caller sends the
// admitted event. It is false for a job that needs no turn: it is at work, or
// has ended, or is unknown; the last two need no slot and lose it. A turn that
// nobody takes up comes due after TurnTimeout.
func (w *Waits) Grant(ctx context.Context, jobID string) (Record, bool, error) {
	id, ok := pack(jobID)
	if !ok {
		return Record{}, false, fmt.Errorf("grant turn: %w", ErrUnknown)
	}
	outcome, r, err := w.step(ctx, "grant turn", grantScript, jobID, id, w.after(w.cfg.TurnTimeout))
	switch {
	case outcome < 0, err == nil && (r.State == Accepted || r.State.Ended() && !r.Chores.Has(ChoreCancel)):
		return r, false, w.FreeSlot(ctx, jobID)
	case err != nil:
		return r, false, err
	}
	return r, outcome == 1, nil
}

// Revive is for a parked wait that came due: it finds out whether the job has a
// slot (true: Grant it) or stands in line, where it is put if it was lost on
// the way there.
func (w *Waits) Revive(ctx context.Context, r Record) (bool, error) {
	got, err := w.acquire(ctx, r)
	if err != nil || got {
		return got, err
	}
	return false, w.settleInLine(ctx, r)
}

// FreeSlot takes a job out of admission: its slot, or its place in line. The
// supervisors are told to admit the next.
func (w *Waits) FreeSlot(ctx context.Context, jobID string) error {
	id, ok := pack(jobID)
	if !ok {
		return nil
	}
	k := w.keys
	_, err := w.flag(ctx, "release slot", releaseScript, jobID,
		[]string{k.slots(), k.line(), k.ring(), k.places(), k.later()}, id, k.wakes())
	return err
}

func (w *Waits) postpone(ctx context.Context, id string, r Record, wait time.Duration) error {
	k := w.keys
	_, err := w.flag(ctx, "postpone", postponeScript, r.Header.JobID,
		[]string{k.slots(), k.places(), k.later(), k.ring()},
		id, place(r.Header.TenantID, id, r.Header.CreatedAt.UnixMilli()), w.after(wait), k.wakes())
	return err
}

// StaleSlots returns jobs whose slot's lease has run out, and keeps them for the
// time of lease. The caller finds out what each is about and calls Hold,
// FreeSlot or Schedule.
func (w *Waits) StaleSlots(ctx context.Context, n int, lease time.Duration) ([]string, error) {
	ids, err := staleScript.Run(ctx, w.redis, []string{w.keys.slots()}, w.ms(), w.after(lease), n).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("list stale slots: %w", err)
	}
	return jobIDsOf(ids), nil
}

// Hold keeps a job's slot until at. It is false where the job has none.
func (w *Waits) Hold(ctx context.Context, jobID string, at time.Time) (bool, error) {
	id, ok := pack(jobID)
	if !ok {
		return false, nil
	}
	return w.flag(ctx, "hold slot", holdScript, jobID, []string{w.keys.slots()}, id, at.UnixMilli())
}

func (w *Waits) place(ctx context.Context, id string) (int, error) {
	k := w.keys
	n, err := placeScript.Run(ctx, w.redis, []string{k.line(), k.ring(), k.places(), k.later()}, id).Int()
	if err != nil {
		return 0, fmt.Errorf("find place in line: %w", err)
	}
	return n, nil
}

// Counts are how many jobs are where.
type Counts struct {
	// Waiting are begun and not ended, and not in line: their sweep is at the
	// API or about to be. Ended ones with chores count as well.
	Waiting int64
	// Parked stand in line.
	Parked int64
	// Slots are taken.
	Slots int64
	// Overdue should have been looked at more than overdueAfter ago: nobody
	// tends the waits, or not fast enough.
	Overdue int64
	// APIFailures is how often in a row the trading API did not answer, as far as
	// it counted (Report); 0 after an answer.
	APIFailures int64
}

// overdueAfter is well above a supervisor's lease: a wait whose supervisor has
// just died is not overdue yet.
const overdueAfter = 2 * time.Minute

// Count is cheap: it costs the same however many there are. Its numbers are of
// slightly different moments.
func (w *Waits) Count(ctx context.Context) (Counts, error) {
	var slots, places *redis.IntCmd
	var gate *redis.SliceCmd
	due, late := make([]*redis.IntCmd, w.cfg.Shards), make([]*redis.IntCmd, w.cfg.Shards)
	before := strconv.FormatInt(w.now().Add(-overdueAfter).UnixMilli(), 10)
	_, err := w.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		slots, places = p.ZCard(ctx, w.keys.slots()), p.HLen(ctx, w.keys.places())
		gate = p.HMGet(ctx, w.keys.gate(), "fails")
		for n := range due {
			key := w.keys.shard(n).due
			due[n], late[n] = p.ZCard(ctx, key), p.ZCount(ctx, key, "-inf", before)
		}
		return nil
	})
	if err != nil {
		return Counts{}, fmt.Errorf("count waits: %w", err)
	}
	c := Counts{Parked: places.Val(), Slots: slots.Val()}
	if fails, ok := gate.Val()[0].(string); ok {
		c.APIFailures = number(fails)
	}
	for n := range due {
		c.Waiting += due[n].Val()
		c.Overdue += late[n].Val()
	}
	c.Waiting = max(c.Waiting-c.Parked, 0)
	return c, nil
}

// Report tells all processes how a call to the API went. After a failure nobody
// is admitted for a while, longer each time, and at least as long as the API
// asks for; then one job tries. It returns until when; zero where the way is
// free.
func (w *Waits) Report(ctx context.Context, ok bool, retryAfter time.Duration) (time.Time, error) {
	good := 0
	if ok {
		good = 1
	}
	until, err := reportScript.Run(ctx, w.redis, []string{w.keys.gate()}, w.ms(), good, retryAfter.Milliseconds(),
		w.cfg.GateMin.Milliseconds(), w.cfg.GateMax.Milliseconds(), w.keys.wakes()).Text()
	if err != nil {
		return time.Time{}, fmt.Errorf("report API state: %w", err)
	}
	ms, err := strconv.ParseInt(until, 10, 64)
	if err != nil || ms == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(ms), nil
}
