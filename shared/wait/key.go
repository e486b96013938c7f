package wait

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
)

// Key gives the job that a tenant's idempotency key stands for: candidate, if
// the key was not used in the last 24 hours, and for the next 24 hours from
// then on. Of any number of equal keys at the same instant all get one answer.
func (w *Waits) Key(ctx context.Context, tenant, key, candidate string) (string, error) {
	id, ok := pack(candidate)
	if !ok {
		return "", fmt.Errorf("use key: %q is not a job id", candidate)
	}
	stored, err := keyScript.Run(ctx, w.redis, []string{w.keys.idempotency(tenant, key)}, id, acceptedTTL.Milliseconds()).Text()
	if err != nil {
		return "", fmt.Errorf("use key: %w", err)
	}
	jobID, ok := unpack(stored)
	if !ok {
		return "", fmt.Errorf("use key: unexpected answer")
	}
	return jobID, nil
}

// idempotency is the id of the job that a key stands for. The client's text is
// hashed: it may be long, and nobody needs to read it. The length keeps
// ("a","bc") and ("ab","c") apart.
func (k keys) idempotency(tenant, key string) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(tenant)) + ":" + tenant + key))
	return k.prefix + "key:" + string(sum[:16])
}
