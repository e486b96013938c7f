package auth

import (
	"errors"
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/zixly/sweepline/shared/quota"
	"github.com/zixly/sweepline/shared/wait"
)

const (
	// What a tenant has where several share and nothing else is said. Ten times what
	// one tenant of a busy pipeline was seen to need.
	defaultRequests = 2000
	defaultOpenJobs = 1000
)

// Auto, as a limit, leaves it to the program: there are shares where there is more
// than one tenant, and who is alone has everything.
const Auto = -1

// limits are the tenants' shares. There are as many as there are tenants in
// TENANT_KEYS, so nobody can make more.
type limits struct {
	buckets  map[string]*rate.Limiter
	openJobs int
}

func (k *Keys) limit(cfg Config) error {
	if cfg.Requests < Auto || cfg.Burst < 0 || cfg.OpenJobs < Auto {
		return errors.New("TENANT_REQUESTS_PER_SECOND, TENANT_REQUESTS_BURST and TENANT_OPEN_JOBS must not be negative")
	}
	requests := k.Share(cfg.Requests, defaultRequests, 0)
	burst := cfg.Burst
	if burst == 0 {
		burst = 2 * requests
	}
	k.limits.openJobs = k.Share(cfg.OpenJobs, defaultOpenJobs, 0)
	if requests == 0 {
		return nil
	}
	k.limits.buckets = make(map[string]*rate.Limiter, len(k.tenants))
	for _, name := range k.tenants {
		k.limits.buckets[name] = rate.NewLimiter(rate.Limit(requests), burst)
	}
	return nil
}

// Share is a limit as it is set, or what Auto makes of it: several where tenants
// share, alone where there is one.
func (k *Keys) Share(set, several, alone int) int {
	switch {
	case set != Auto:
		return set
	case len(k.tenants) > 1:
		return several
	default:
		return alone
	}
}

// Shares is what a job is taken in with: how many queued jobs its tenant may have, and
// how many tenants share the trading API. Without keys it is one.
func (k *Keys) Shares() wait.Shares {
	return wait.Shares{MostQueued: k.limits.openJobs, Tenants: max(len(k.tenants), 1)}
}

// Admit takes one request of a tenant's share, or is a quota.Exceeded.
func (k *Keys) Admit(tenant string) error {
	b := k.limits.buckets[tenant]
	if b == nil || b.Allow() {
		return nil
	}
	missing := 1 - b.Tokens()
	wait := time.Duration(math.Max(0, missing) / float64(b.Limit()) * float64(time.Second))
	return &quota.Exceeded{What: "requests a second", Limit: int(b.Limit()), RetryAfter: wait}
}
