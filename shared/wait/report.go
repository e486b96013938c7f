package wait

import (
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/admission"
)

// Report is what a step tells of the API along with its own news, so that it
// costs no step of its own. The zero value tells nothing.
type Report struct {
	known, ok  bool
	retryAfter time.Duration
}

// Answered is the report of a call that the API answered.
func Answered() Report { return Report{known: true, ok: true} }

// Unanswered is the report of a call for which the API was unavailable. It asked
// for silence for retryAfter, if that is not 0.
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

// Allow, Await and the breakers are those of admission, on the waits' own keys.

// Urgency is how soon a call is needed.
type Urgency = admission.Urgency

// The urgencies.
const (
	Patient = admission.Patient
	Urgent  = admission.Urgent
)
