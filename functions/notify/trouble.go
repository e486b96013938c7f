package notify

import (
	"errors"
	"time"

	"github.com/zixly/sweepline/shared/sink"
)

// How a telling goes wrong decides what becomes of the event:
//
//   - the channel is away, or says to come later: nobody was told. The answer is
//     503 with Retry-After, which a broker that waits for the absent does not
//     count as an attempt, for as long as the outage lasts;
//   - it cannot be known whether somebody was told: the same, but the claim stays
//     until its lease ends, and the next telling is marked as perhaps the second;
//   - the channel refuses the message: a plain error, counted. After its
//     Trigger's attempts the event is a dead letter for somebody to look at.

// pause is how long to leave a channel alone that does not say for how long.
const pause = 5 * time.Second

// away is the error of a channel that told nobody and may do so later.
func away(err error, after time.Duration) error {
	return &sink.Unavailable{RetryAfter: max(after, time.Second), Err: err}
}

// uncertain is the error of a channel that may have told.
type uncertain struct{ cause error }

func (u *uncertain) Error() string {
	return "the answer was lost, the message may be there: " + u.cause.Error()
}

func (u *uncertain) Unwrap() error { return u.cause }

func isUncertain(err error) bool {
	var u *uncertain
	return errors.As(err, &u)
}
