package broker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/creasty/defaults"

	"github.com/zixly/sweepline/shared/broker/dispatch"
	"github.com/zixly/sweepline/shared/broker/stream"
)

// Config tunes a Server. DefaultConfig returns the defaults named in the tags, and
// envconfig.Process reads the variables.
type Config struct {
	// Partitions is the number of streams of each broker, by partition key.
	// It may grow; when it shrinks the old streams are still drained.
	Partitions int `envconfig:"BROKER_PARTITIONS" default:"1"`
	// MaxEventBytes bounds a request body; more is answered with 413.
	MaxEventBytes int64 `envconfig:"BROKER_MAX_EVENT_BYTES" default:"1048576"`
	// DedupWindow is how long a (source, id) is remembered after it was stored.
	DedupWindow time.Duration `envconfig:"BROKER_DEDUP_WINDOW" default:"24h"`
	// KeyPrefix begins all keys; two pipelines with different ones can share a Redis.
	KeyPrefix string `envconfig:"BROKER_KEY_PREFIX" default:"sweepline:"`
	// Instance names this process, where it has a name that no other process has
	// while it lives and that it gets again when it is restarted: then it takes up
	// at once what it was killed with. Empty for a name that is never used twice.
	Instance string `envconfig:"BROKER_INSTANCE"`
	// StreamCap bounds the entries of one Trigger's queue in one partition. At nine
	// tenths of it the ingress answers 503 to events that the Trigger takes; the
	// rest belongs to accepted work.
	StreamCap int64 `envconfig:"BROKER_STREAM_CAP" default:"1000000"`
	// Retention is how long events stay in the history, for replay.
	Retention time.Duration `envconfig:"BROKER_RETENTION" default:"24h"`
	// HistoryBytes bounds the history of one partition. It gives way earlier where
	// Redis is out of memory.
	HistoryBytes int64 `envconfig:"BROKER_HISTORY_BYTES" default:"268435456"`
	// RemovalGrace is how long a Trigger that has left the configuration keeps its
	// queue, and goes on filling it, before that is deleted.
	RemovalGrace time.Duration `envconfig:"BROKER_REMOVAL_GRACE" default:"10m"`
	// DeadLetterRetention bounds the keeping of dead letters that a sink took.
	// Dead letters without a sink stay until redriven or discarded.
	DeadLetterRetention time.Duration `envconfig:"BROKER_DEAD_LETTER_RETENTION" default:"168h"`
	// ClaimIdle is how long after its last heartbeat a process counts as dead and
	// others take over what it was delivering. Heartbeats come at a third of it.
	ClaimIdle time.Duration `envconfig:"BROKER_CLAIM_IDLE" default:"15s"`
	// Block is the longest a read waits in Redis, and so the longest that
	// stopping waits for a reader.
	Block time.Duration `envconfig:"BROKER_BLOCK" default:"1s"`
	// Parallelism is the default bound of concurrent deliveries of a Trigger.
	Parallelism int `envconfig:"BROKER_PARALLELISM" default:"64"`
	// DeliveryTimeout bounds an attempt where the Trigger names no timeout.
	DeliveryTimeout time.Duration `envconfig:"BROKER_DELIVERY_TIMEOUT" default:"60s"`
	// BackoffMax bounds the wait between two attempts.
	BackoffMax time.Duration `envconfig:"BROKER_BACKOFF_MAX" default:"5m"`
	// BackoffJitter draws each wait evenly from 0 to the computed one.
	BackoffJitter bool `envconfig:"BROKER_BACKOFF_JITTER" default:"false"`
	// RetryAfterMax bounds an answered Retry-After where the Trigger does not.
	RetryAfterMax time.Duration `envconfig:"BROKER_RETRY_AFTER_MAX" default:"5m"`
	// SinkBackoff is the first wait after a dead letter sink failed; it doubles
	// up to BackoffMax, for ever.
	SinkBackoff time.Duration `envconfig:"BROKER_SINK_BACKOFF" default:"1s"`
	// RequireDurable refuses to start, instead of warning, where Redis could lose what
	// it has acknowledged.
	RequireDurable bool `envconfig:"BROKER_REQUIRE_DURABLE" default:"false"`
	// WaitReplicas makes every append wait for that many replicas (WAIT).
	WaitReplicas int `envconfig:"BROKER_WAIT_REPLICAS" default:"0"`
	// RedisTimeout bounds one call to Redis, and so how late a 503 can be.
	RedisTimeout time.Duration `envconfig:"BROKER_REDIS_TIMEOUT" default:"2s"`
	// DrainTimeout is how long deliveries in flight have to finish when the process
	// stops; what remains is delivered by another, or after the next start.
	DrainTimeout time.Duration `envconfig:"BROKER_DRAIN_TIMEOUT" default:"20s"`
	// JanitorInterval is the time between two rounds of housekeeping.
	JanitorInterval time.Duration `envconfig:"BROKER_JANITOR_INTERVAL" default:"15s"`

	// Journal, if set, is called with each group of events before it is
	// appended; an error refuses the group with 503. It lets a local mode whose
	// Redis forgets keep a record of its own. Set before New.
	Journal func(context.Context, []event.Event) error `ignored:"true"`
	// Check, if set, says of a published event why nobody could ever read it; it is
	// refused with 400, and its request with it. Set before New.
	Check func(event.Event) error `ignored:"true"`
	// Admit, if set, says who may post events, and which. Set before New.
	Admit Admit `ignored:"true"`
	// Token, if set, gives the token of an identity for an audience, which deliveries
	// carry to subscribers that have one. Set before New.
	Token func(identity, audience string) (string, error) `ignored:"true"`
	// Transport, if set, makes the deliveries in place of the network.
	Transport http.RoundTripper `ignored:"true"`
}

// bodyBytes is the size from which an event is kept once for all Triggers.
const bodyBytes = 4096

func (c Config) stream() stream.Config {
	return stream.Config{
		Prefix: c.KeyPrefix, DedupWindow: c.DedupWindow,
		QueueCap: max(c.StreamCap-c.StreamCap/10, 1), HistoryBytes: c.HistoryBytes, HistoryAge: c.Retention,
		BodyBytes: bodyBytes, ClaimIdle: c.ClaimIdle, Block: c.Block, RedisTimeout: c.RedisTimeout,
		WaitReplicas: c.WaitReplicas, Journal: c.Journal,
	}
}

func (c Config) dispatch() dispatch.Config {
	return dispatch.Config{
		Partitions: c.Partitions, Parallelism: c.Parallelism, MaxEventBytes: c.MaxEventBytes, DeliveryTimeout: c.DeliveryTimeout,
		BackoffMax: c.BackoffMax, BackoffJitter: c.BackoffJitter, RetryAfterMax: c.RetryAfterMax, SinkBackoff: c.SinkBackoff,
		ClaimIdle: c.ClaimIdle, Named: c.Instance != "", Token: c.Token, Transport: c.Transport,
	}
}

// DefaultConfig is what the environment sets when it is empty.
func DefaultConfig() Config {
	var c Config
	defaults.MustSet(&c)
	return c
}

func (c Config) validate() error {
	var errs []error
	positive := func(name string, ok bool) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: must be positive", name))
		}
	}
	positive("BROKER_PARTITIONS", c.Partitions > 0)
	positive("BROKER_MAX_EVENT_BYTES", c.MaxEventBytes > 0)
	positive("BROKER_DEDUP_WINDOW", c.DedupWindow >= time.Millisecond)
	positive("BROKER_STREAM_CAP", c.StreamCap > 0)
	positive("BROKER_CLAIM_IDLE", c.ClaimIdle >= time.Millisecond)
	positive("BROKER_BLOCK", c.Block >= time.Millisecond)
	positive("BROKER_PARALLELISM", c.Parallelism > 0)
	positive("BROKER_DELIVERY_TIMEOUT", c.DeliveryTimeout > 0)
	positive("BROKER_BACKOFF_MAX", c.BackoffMax > 0)
	positive("BROKER_SINK_BACKOFF", c.SinkBackoff > 0)
	positive("BROKER_REDIS_TIMEOUT", c.RedisTimeout > 0)
	positive("BROKER_JANITOR_INTERVAL", c.JanitorInterval > 0)
	positive("BROKER_HISTORY_BYTES", c.HistoryBytes > 0)
	if c.KeyPrefix == "" || strings.ContainsAny(c.KeyPrefix, "{} \n") {
		errs = append(errs, errors.New("BROKER_KEY_PREFIX: must not be empty or hold braces or spaces"))
	}
	if c.Retention < 0 || c.DeadLetterRetention < 0 || c.DrainTimeout < 0 || c.WaitReplicas < 0 || c.RemovalGrace < 0 {
		errs = append(errs, errors.New("BROKER_RETENTION, BROKER_DEAD_LETTER_RETENTION, BROKER_DRAIN_TIMEOUT, "+
			"BROKER_WAIT_REPLICAS, BROKER_REMOVAL_GRACE: must not be negative"))
	}
	return errors.Join(errs...)
}
