package redisclient

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/redis/go-redis/v9"
)

// unable are the codes with which Redis says that it can't do anything now, whatever
// is asked.
var unable = []string{"LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "MISCONF", "CLUSTERDOWN", "TRYAGAIN", "OOM", "BUSY ", "NOAUTH", "WRONGPASS", "NOPERM", "max number of clients reached"}

// Reply reports whether err is an error reply: Redis has answered.
func Reply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && !errors.Is(err, redis.Nil)
}

// Refusal reports whether Redis has refused what it was asked, where it could have done
// something else.
func Refusal(err error) bool { return Reply(err) && !HasCode(err, unable...) }

// Unavailable reports whether err says that Redis could not be reached, did not answer in
// time, or cannot do anything now, or that the client is being closed. The same call may
// succeed later.
func Unavailable(err error) bool {
	if Reply(err) {
		return HasCode(err, unable...)
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}

// HasCode reports whether err is an error reply with one of the codes: its first word.
func HasCode(err error, codes ...string) bool {
	return err != nil && slices.ContainsFunc(codes, func(code string) bool { return redis.HasErrorPrefix(err, code) })
}
