package wait

import (
	"strconv"
	"time"
)

// Report is the outcome of an API call for a breaker. It travels with another step, so
// that it costs no step of its own. The zero value reports nothing.
type Report struct {
	known, ok  bool
	retryAfter time.Duration
}

// Answered is the report of a call that the API answered.
func Answered() Report { return Report{known: true, ok: true} }

// Unanswered is the report of a call for which the API was unavailable. retryAfter is
// its Retry-After, 0 if it sent none.
func Unanswered(retryAfter time.Duration) Report { return Report{known: true, retryAfter: retryAfter} }

func (r Report) text() string {
	switch {
	case !r.known:
		return ""
	case r.ok:
		return "ok"
	}
	return strconv.FormatInt(r.retryAfter.Milliseconds(), 10)
}
