package notify

import (
	"errors"
	"time"

	"github.com/zixly/sweepline/shared/sink"
)

// The error of a failed notification decides how the event is retried:
//
//   - the channel is unavailable or asks for a retry: nothing was sent. The response is
//     503 with Retry-After, which the broker does not count as an attempt, for as long
//     as the outage lasts;
//   - it is unknown whether the message was sent: the same, but the claim stays until
//     its lease ends, and the next notification is marked as a possible repeat;
//   - the channel refuses the message: a plain error, counted. After its Trigger's
//     attempts the event is a dead letter for an operator;
//   - the channel is given up (undelivered): no error, an outcome that is recorded.

// pause is the retry delay of a channel that sends none.
const pause = 5 * time.Second

// unavailable is the error of a channel that sent nothing and can be retried.
func unavailable(err error, after time.Duration) error {
	return &sink.Unavailable{RetryAfter: max(after, time.Second), Err: err}
}

// uncertain is the error of a channel that may have sent the message.
type uncertain struct{ cause error }

func (u *uncertain) Error() string {
	return "response lost, message may have been sent: " + u.cause.Error()
}

func (u *uncertain) Unwrap() error { return u.cause }

func isUncertain(err error) bool {
	var u *uncertain
	return errors.As(err, &u)
}
