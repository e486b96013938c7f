package wait

import (
	"context"
	"crypto/sha256"
	"fmt"

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
