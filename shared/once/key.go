package once

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/job"
)

// keyTTL is how long an idempotency key is remembered: the promise of the webhook.
const keyTTL = 24 * time.Hour

// Key returns the job of a tenant's idempotency key: candidate, if
// the key was not used in the last 24 hours, and for the next 24 hours from
// then on. Of any number of equal keys at the same instant all get one answer.
func (o *Once) Key(ctx context.Context, tenant, key, candidate string) (string, error) {
	id, err := uuid.Parse(candidate)
	if err != nil || !job.ValidID(candidate) {
		return "", fmt.Errorf("use key: %q is not a job id", candidate)
	}
	stored, err := keyScript.Run(ctx, o.scripts, []string{o.idempotency(tenant, key)}, string(id[:]), keyTTL.Milliseconds()).Text()
	if err != nil {
		return "", fmt.Errorf("use key: %w", err)
	}
	jobID, err := uuid.FromBytes([]byte(stored))
	if err != nil {
		return "", fmt.Errorf("use key: unexpected redis reply: %w", err)
	}
	return jobID.String(), nil
}

// idempotency is the id of the job that a key stands for. The client's text is
// hashed: it may be long, and nobody needs to read it. The length keeps
// ("a","bc") and ("ab","c") apart.
func (o *Once) idempotency(tenant, key string) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(tenant)) + ":" + tenant + key))
	return o.prefix + "key:" + string(sum[:16])
}
