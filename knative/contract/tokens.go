package contract

import (
	"crypto/sha256"
	"encoding/hex"
)

// TokenFile names the token of an identity for an audience: a key of the Secret that
// the dispatcher mounts.
func TokenFile(identity, audience string) string {
	sum := sha256.Sum256([]byte(identity + "\n" + audience))
	return hex.EncodeToString(sum[:20])
}
