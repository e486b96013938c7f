package serve

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	// defaultRetryAfter is told to a client where nobody said how long.
	defaultRetryAfter = time.Second
	// maxRetryAfter bounds what another server may make us wait.
	maxRetryAfter = 5 * time.Minute
)

// Unavailable is the error of something that cannot be done now but may be
// done later: the sink answered 429 or 503, or could not be reached.
type Unavailable struct { //nolint:errname // serve.Unavailable says it
	// Status is what the other side answered, or 0 without an answer.
	Status int
	// RetryAfter is how long to wait before the next try; never zero.
	RetryAfter time.Duration
	// Err says what happened.
	Err error
}

// Error says what happened, without an address of the inside.
func (u *Unavailable) Error() string { return u.Err.Error() }

// Unwrap gives the cause.
func (u *Unavailable) Unwrap() error { return u.Err }

// WriteUnavailable answers 429 where err says that the other side is being
// asked too often, else 503, both with Retry-After.
func WriteUnavailable(w http.ResponseWriter, err error) {
	status, code, message, wait := http.StatusServiceUnavailable, CodeUnavailable, "try again later", defaultRetryAfter
	var u *Unavailable
	if errors.As(err, &u) {
		wait = u.RetryAfter
		if u.Status == http.StatusTooManyRequests {
			status, code, message = http.StatusTooManyRequests, CodeTooMany, "too many requests"
		}
	}
	setRetryAfter(w, wait)
	WriteError(w, status, code, message)
}

// setRetryAfter writes whole seconds, rounded up: 0 would mean "at once".
func setRetryAfter(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(wholeSeconds(d)))
}

// retryAfter reads the header of an answer: seconds or an HTTP date (RFC 9110,
// 10.2.3), bounded both ways.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	wait := defaultRetryAfter
	if n, err := strconv.Atoi(v); err == nil {
		wait = time.Duration(min(max(n, 0), int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, defaultRetryAfter), maxRetryAfter)
}

// Refused is the error of a sink that answered with a status which no retry
// of the same request mends.
type Refused struct{ Status int } //nolint:errname // serve.Refused says it

// Error names the status.
func (r *Refused) Error() string { return fmt.Sprintf("the sink answered %d", r.Status) }
