package dispatch

import (
	"net/http"
	"time"
)

// Config tunes deliveries. Every field must be set but those that say so.
type Config struct {
	// Partitions is how many partitions new events, and so replies, are spread over.
	Partitions int
	// Parallelism is the default bound of concurrent deliveries of a Trigger.
	Parallelism int
	// MaxEventBytes bounds a reply.
	MaxEventBytes int64
	// DeliveryTimeout bounds an attempt where the Trigger names no timeout.
	DeliveryTimeout time.Duration
	// BackoffMax caps the wait between two attempts.
	BackoffMax time.Duration
	// BackoffJitter draws each wait evenly from 0 to the computed one.
	BackoffJitter bool
	// RetryAfterMax bounds an answered Retry-After where the Trigger does not.
	RetryAfterMax time.Duration
	// SinkBackoff is the first wait after a dead letter sink failed; it doubles up
	// to BackoffMax.
	SinkBackoff time.Duration
	// ClaimIdle is how long a consumer lives after its last heartbeat.
	ClaimIdle time.Duration
	// Named: the consumer's name was a predecessor's, whose deliveries go on here.
	Named bool
	// Token, if set, gives what a delivery proves its identity with to an audience. An
	// error says that there is none now: nobody is asked, and the attempt made again.
	Token func(identity, audience string) (string, error)
	// Transport makes the requests; nil for the network.
	Transport http.RoundTripper
}
