package wait

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// Get reads a job's record. It is ErrUnknown where there is none.
func (w *Waits) Get(ctx context.Context, jobID string) (Record, error) {
	id, ok := pack(jobID)
	if !ok {
		return Record{}, fmt.Errorf("read job: %w", ErrUnknown)
	}
	fields, err := w.redis.HGetAll(ctx, w.keys.record(id)).Result()
	if err != nil {
		return Record{}, fmt.Errorf("read job %s: %w", jobID, err)
	}
	if len(fields) == 0 {
		return Record{}, fmt.Errorf("read job %s: %w", jobID, ErrUnknown)
	}
	r, err := w.decodeMap(jobID, fields)
	if err != nil {
		return Record{}, fmt.Errorf("read job %s: %w", jobID, err)
	}
	if r.State == Parked {
		places, err := w.admission.Positions(ctx, id)
		if err != nil {
			return Record{}, fmt.Errorf("read job %s: %w", jobID, err)
		}
		r.Place = places[0]
	}
	return r, nil
}

// Lookup reads the records of many jobs in one round trip. Jobs without a
// record are not in the answer, and one whose record is unreadable is there
// without a State. Record.Place is not filled in.
func (w *Waits) Lookup(ctx context.Context, jobIDs []string) (map[string]Record, error) {
	cmds := make(map[string]*redis.MapStringStringCmd, len(jobIDs))
	p := w.redis.Pipeline()
	for _, jobID := range jobIDs {
		if id, ok := pack(jobID); ok {
			cmds[jobID] = p.HGetAll(ctx, w.keys.record(id))
		}
	}
	if len(cmds) == 0 {
		return nil, nil
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, fmt.Errorf("look up %d waits: %w", len(cmds), err)
	}
	records := make(map[string]Record, len(cmds))
	for jobID, cmd := range cmds {
		if len(cmd.Val()) == 0 {
			continue
		}
		r, err := w.decodeMap(jobID, cmd.Val())
		if err != nil {
			slog.ErrorContext(ctx, "wait record is invalid", "job_id", jobID, "error", err)
		}
		records[jobID] = r
	}
	return records, nil
}

// Records is Lookup without the records that cannot be read, and with the places of
// those that are queued, which take a second round trip. If there is an error, what it
// returns besides holds no places.
func (w *Waits) Records(ctx context.Context, jobIDs ...string) (map[string]Record, error) {
	found, err := w.Lookup(ctx, jobIDs)
	if err != nil {
		return nil, err
	}
	var queued, ids []string
	for jobID, r := range found {
		switch id, _ := pack(jobID); r.State {
		case "":
			delete(found, jobID)
		case Parked:
			queued, ids = append(queued, jobID), append(ids, id)
		}
	}
	if len(queued) == 0 {
		return found, nil
	}
	places, err := w.admission.Positions(ctx, ids...)
	for i, place := range places {
		r := found[queued[i]]
		r.Place = place
		found[queued[i]] = r
	}
	return found, err
}
