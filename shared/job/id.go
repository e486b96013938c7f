package job

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// idSpace is the UUID namespace of derived job ids. It must never change: the
// same tenant and key would name another job.
var idSpace = uuid.MustParse("5b1f9f0e-7b0a-5c41-9c55-6f5a3a1d7c11")

// NewID returns a fresh job id: a UUIDv7, so that ids sort by creation.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// DeriveID returns the job id of an idempotency key that is first used at the
// given time: the same tenant and key give the same id on the same UTC day.
// Another day gives another, since a key that is used again after its 24 hours
// asks for a new job. The length prefix keeps ("a","bc") and ("ab","c") apart.
func DeriveID(tenant, key string, at time.Time) string {
	return uuid.NewSHA1(idSpace, fmt.Appendf(nil, "%d:%s%s@%s", len(tenant), tenant, key, at.UTC().Format(time.DateOnly))).String()
}

// MemberID returns the id of a group's job of a ticker; the first job's is the group's.
// What DeriveID hashes begins with a digit.
func MemberID(group, ticker string) string {
	return uuid.NewSHA1(idSpace, []byte("group:"+group+":"+ticker)).String()
}

// ValidID reports whether s is a job id in its canonical form: 36 lower-case
// characters. Anything else cannot name a job and is not worth a look-up.
func ValidID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}
