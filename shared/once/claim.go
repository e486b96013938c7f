package once

import (
	"context"
	"fmt"
	"time"
)

// Claim is the result of claiming work that must be done once.
type Claim int

// The results of Claim.
const (
	// Held: another process holds the claim; retry after the lease.
	Held Claim = iota
	// Won: do the work, then MarkDone, or Release if it failed.
	Won
	// Done: the work is done.
	Done
	// Again is Won, but an earlier winner did neither MarkDone nor Release before
	// its lease ended: how far it got is unknown.
	Again
)

// rememberClaim is how long a claim is remembered past its lease.
const rememberClaim = 24 * time.Hour

// Claim guards what must be done once over any number of processes. The lease
// has to be longer than the work takes; it ends by itself should the claimer
// die. Leases run on the clock of Redis.
//
// That a claim was won is remembered for a day past its lease, for Again.
func (o *Once) Claim(ctx context.Context, key string, lease time.Duration) (Claim, error) {
	c, _, err := o.ClaimNoted(ctx, key, lease)
	return c, err
}

// ClaimNoted is Claim that also returns, with Done, what MarkDone was given to note.
func (o *Once) ClaimNoted(ctx context.Context, key string, lease time.Duration) (c Claim, note string, err error) {
	answer, err := claimScript.Run(ctx, o.scripts, []string{o.claim(key), o.begun(key)}, lease.Milliseconds(), (lease + rememberClaim).Milliseconds()).Slice()
	if err != nil {
		return 0, "", fmt.Errorf("claim %s: %w", key, err)
	}
	if len(answer) != 2 {
		return 0, "", fmt.Errorf("claim %s: unexpected redis reply", key)
	}
	n, _ := answer[0].(int64)
	note, _ = answer[1].(string)
	return Claim(n), note, nil
}

// MarkDone keeps the claim as done for the time of keep, and with it a note, which may be
// empty.
func (o *Once) MarkDone(ctx context.Context, key, note string, keep time.Duration) error {
	value := "done"
	if note != "" {
		value += " " + note
	}
	if err := o.redis.Set(ctx, o.claim(key), value, keep).Err(); err != nil {
		return fmt.Errorf("mark %s done: %w", key, err)
	}
	return nil
}

// Release frees a claim whose work was not done.
func (o *Once) Release(ctx context.Context, key string) error {
	if err := unclaimScript.Run(ctx, o.scripts, []string{o.claim(key), o.begun(key)}).Err(); err != nil {
		return fmt.Errorf("release %s: %w", key, err)
	}
	return nil
}

func (o *Once) claim(name string) string { return o.prefix + "claim:{" + name + "}" }

// begun says that somebody has won a claim: it outlives the claim's lease.
func (o *Once) begun(name string) string { return o.claim(name) + ":begun" }
