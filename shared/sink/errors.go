package sink

import (
	"fmt"
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/transport"
)

const (
	// DefaultRetryAfter is how long to wait where nobody said how long.
	DefaultRetryAfter = time.Second
	// maxRetryAfter bounds what another server may make us wait.
	maxRetryAfter = 5 * time.Minute
)

// Unavailable is the error of something that cannot be done now but may be
// done later: the sink answered 429 or 503, or could not be reached.
type Unavailable struct { //nolint:errname // sink.Unavailable says it
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

// Refused is the error of a sink that answered with a status which no retry
// of the same request mends.
type Refused struct{ Status int } //nolint:errname // sink.Refused says it

// Error names the status.
func (r *Refused) Error() string { return fmt.Sprintf("the sink answered %d", r.Status) }

// retryAfter is when the sink wants to be asked again, bounded both ways.
func retryAfter(h http.Header, now time.Time) time.Duration {
	return min(max(transport.RetryAfter(h, now), DefaultRetryAfter), maxRetryAfter)
}
