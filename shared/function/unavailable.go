package function

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/sink"
)

// WriteUnavailable answers 429 where err says that the other side is being
// asked too often, else 503, both with Retry-After.
func WriteUnavailable(w http.ResponseWriter, err error) {
	status, code, message, wait := http.StatusServiceUnavailable, CodeUnavailable, "try again later", sink.DefaultRetryAfter
	var u *sink.Unavailable
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
