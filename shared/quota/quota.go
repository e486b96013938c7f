// Package quota refuses what is more than one tenant's share of what all share, in
// the one form that every address answers it in.
package quota

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/function"
)

// Exceeded is the error of a tenant that has its share already.
type Exceeded struct { //nolint:errname // quota.Exceeded says it
	// What there is a share of, for people: "open jobs".
	What string
	// Limit is the share.
	Limit int
	// RetryAfter is when it is worth asking again.
	RetryAfter time.Duration
}

// Error names the share.
func (e *Exceeded) Error() string {
	return fmt.Sprintf("more than this tenant's share of %s (%d)", e.What, e.Limit)
}

// Seconds is RetryAfter in whole seconds, one at least.
func (e *Exceeded) Seconds() int { return max(1, int(math.Ceil(e.RetryAfter.Seconds()))) }

// Headers tells a client of its share and when to come back.
// Rule: draft-ietf-httpapi-ratelimit-headers-03, 3, in the fields that servers in use send.
func (e *Exceeded) Headers(h http.Header) {
	seconds := strconv.Itoa(e.Seconds())
	h.Set("Retry-After", seconds)
	h.Set("RateLimit-Limit", strconv.Itoa(e.Limit))
	h.Set("RateLimit-Remaining", "0")
	h.Set("RateLimit-Reset", seconds)
}

// Write answers 429.
func (e *Exceeded) Write(w http.ResponseWriter) {
	e.Headers(w.Header())
	function.WriteError(w, http.StatusTooManyRequests, function.CodeTooMany, e.Error())
}
