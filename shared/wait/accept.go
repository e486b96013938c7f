package wait

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/job"
)

// Acceptance is what Accept found.
type Acceptance struct {
	// Header is the job as it was first stored.
	Header job.Header
	// Replayed: the job was known.
	Replayed bool
	// Conflict: the job was known, with another fingerprint.
	Conflict bool
	// Full: the job is new, and its tenant has as many queued as it may. Nothing was
	// written.
	Full bool
}

// Shares is what a door says of the tenants that it lets in, by TENANT_KEYS, which no
// other process has.
type Shares struct {
	// MostQueued has Accept refuse a new job whose tenant has that many jobs queued;
	// 0 is no bound.
	MostQueued int
	// Tenants is how many there are; 0 says nothing. It is remembered: slots are kept
	// for those that hold none.
	Tenants int
}

// Accept writes a job's first record, or finds the one that is there: of any
// number of equal requests at the same instant exactly one is not Replayed.
// The record is kept for 24 hours, and on from there once submit has begun. It
// is no promise to run the job: that is the event's.
func (w *Waits) Accept(ctx context.Context, h job.Header, fingerprint string, shares ...Shares) (Acceptance, error) {
	id, ok := pack(h.JobID)
	if !ok {
		return Acceptance{}, fmt.Errorf("accept job: %q is not a job id", h.JobID)
	}
	header, err := encodeHeader(h)
	if err != nil {
		return Acceptance{}, fmt.Errorf("accept job %s: %w", h.JobID, err)
	}
	sum := sha256.Sum256([]byte(fingerprint))
	var s Shares
	if len(shares) > 0 {
		s = shares[0]
	}
	args := []any{id, header, string(sum[:8]), encodeTrace(ctx), acceptedTTL.Milliseconds(), s.Tenants, w.knownRedis()}
	if s.MostQueued > 0 {
		args = append(args, s.MostQueued, h.TenantID)
	}
	reply, err := w.run(ctx, acceptScript, args...).Slice()
	if err != nil {
		return Acceptance{}, fmt.Errorf("accept job %s: %w", h.JobID, err)
	}
	if len(reply) != 3 {
		return Acceptance{}, fmt.Errorf("accept job %s: unexpected redis reply", h.JobID)
	}
	w.sawRedis(reply[2])
	if reply[0] == int64(3) {
		return Acceptance{Full: true}, nil
	}
	stored, _ := reply[1].(string)
	first, err := decodeHeader(h.JobID, stored)
	if err != nil {
		return Acceptance{}, fmt.Errorf("accept job %s: read header: %w", h.JobID, err)
	}
	return Acceptance{Header: first, Replayed: reply[0] != int64(0), Conflict: reply[0] == int64(2)}, nil
}

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

// Records reads the records of many jobs, as Get reads each: in one round trip, and
// in a second one the places of those that are queued. Jobs without a record, or with
// one that cannot be read, are left out. If there is an error, what it returns besides
// holds no places.
func (w *Waits) Records(ctx context.Context, jobIDs ...string) (map[string]Record, error) {
	found := make(map[string]Record, len(jobIDs))
	replies := make(map[string]*redis.MapStringStringCmd, len(jobIDs))
	pipe := w.redis.Pipeline()
	for _, jobID := range jobIDs {
		if id, ok := pack(jobID); ok {
			replies[jobID] = pipe.HGetAll(ctx, w.keys.record(id))
		}
	}
	if len(replies) == 0 {
		return found, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read records of jobs: %w", err)
	}
	var queued, ids []string
	for jobID, reply := range replies {
		r, err := w.decodeMap(jobID, reply.Val())
		if err != nil {
			continue
		}
		found[jobID] = r
		if id, _ := pack(jobID); r.State == Parked {
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
