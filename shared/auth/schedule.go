package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zixly/sweepline/shared/function"
)

// ScheduleToken is the extension attribute of an event that holds a schedule's token. A
// PingSource can send no header of its own but extension attributes.
const ScheduleToken = "scheduletoken"

// Schedules make and check tokens, each of which lets one schedule ask for sweeps in the
// name of one tenant. A token stands in a manifest, which more people read than a Secret:
// it is worth less than a key. The zero value checks none.
type Schedules struct{ secret []byte }

// NewSchedules takes the secret that signs them; "" is none.
func NewSchedules(secret string) (Schedules, error) {
	if secret != "" && len(secret) < function.MinSecret {
		return Schedules{}, fmt.Errorf("SCHEDULE_SECRET is too short: it must have %d bytes at least", function.MinSecret)
	}
	return Schedules{[]byte(secret)}, nil
}

// Token is that of the schedule whose events have this source.
func (s Schedules) Token(tenant, source string) (string, error) {
	if len(s.secret) == 0 {
		return "", errors.New("SCHEDULE_SECRET is required")
	}
	if !namePattern().MatchString(tenant) {
		return "", errors.New("the tenant must be 1 to 64 letters, digits, dots, dashes or underscores")
	}
	return tenant + ":" + base64.RawURLEncoding.EncodeToString(s.sum(tenant, source)), nil
}

// Tenant is whose the token of a source is; "" where it is none.
func (s Schedules) Tenant(token, source string) string {
	tenant, _, _ := strings.Cut(token, ":")
	// As texts, of which each token is one: decoding would take line breaks in it, too.
	right, err := s.Token(tenant, source)
	if err != nil || !hmac.Equal([]byte(token), []byte(right)) {
		return ""
	}
	return tenant
}

func (s Schedules) sum(tenant, source string) []byte {
	h := hmac.New(sha256.New, s.secret)
	_, _ = fmt.Fprintf(h, "schedule\n%d:%s\n%s", len(tenant), tenant, source)
	return h.Sum(nil)
}

// Knows reports whether there is a key of the tenant. Without keys there is one tenant.
func (k *Keys) Knows(tenant string) bool { return slices.Contains(k.tenants, tenant) }
