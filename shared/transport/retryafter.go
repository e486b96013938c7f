package transport

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// RetryAfter is how long the header of an answer asks to wait: seconds, or until a date.
// It is 0 where there is none, where it is neither, and where that has passed. Callers
// bound it.
// Rule: RFC 9110, 10.2.3.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	// A number that is out of range comes as the nearest one that is not.
	if n, err := strconv.ParseInt(text, 10, 32); err == nil || errors.Is(err, strconv.ErrRange) {
		return max(time.Duration(n)*time.Second, 0)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
