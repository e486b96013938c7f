package once

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxRevoked is how many revocations of a group are remembered one by one.
	maxRevoked = 1000
	// keepRevoked is how long they are after the last one. It is longer than anything
	// that is revoked lives, and than the clocks of processes disagree.
	keepRevoked = 24 * time.Hour
)

// Revoke makes something void before it expires: a session that was signed out of. id
// names it within its group, not empty; until is when it expires by itself, in less
// than a day. Of the 1,000 of a group that expire last each is remembered; should there
// be more, all that expire as early as those are void, revoked or not.
func (o *Once) Revoke(ctx context.Context, group, id string, until time.Time) error {
	err := revokeScript.Run(ctx, o.scripts, []string{o.revoked(group)}, id, until.Unix(), maxRevoked, keepRevoked.Milliseconds()).Err()
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// Revoked reports whether Revoke made id void.
func (o *Once) Revoked(ctx context.Context, group, id string, until time.Time) (bool, error) {
	scores, err := o.redis.ZMScore(ctx, o.revoked(group), id, "").Result()
	if err != nil && err != redis.Nil { //nolint:errorlint // go-redis never wraps it
		return false, fmt.Errorf("look for revocation: %w", err)
	}
	// The empty name holds until when all are void.
	return len(scores) == 2 && (scores[0] != 0 || int64(scores[1]) >= until.Unix()), nil
}

func (o *Once) revoked(group string) string { return o.prefix + "revoked:{" + group + "}" }
