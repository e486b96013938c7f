package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Config tunes a Server. DefaultConfig gives the defaults named in the tags, and
// envconfig.Process reads the variables.
type Config struct {
	// Partitions is the number of streams of each broker, by partition key.
	// It may grow; when it shrinks the old streams are still drained.
	Partitions int `envconfig:"BROKER_PARTITIONS" default:"1"`
	// MaxEventBytes bounds a request body; more is answered with 413.
	MaxEventBytes int64 `envconfig:"BROKER_MAX_EVENT_BYTES" default:"1048576"`
	// DedupWindow is how long a (source, id) is remembered after it was stored.
	DedupWindow time.Duration `envconfig:"BROKER_DEDUP_WINDOW" default:"24h"`
	// StreamCap is the number of entries of one stream at which ingress answers
	// 503. Acknowledged history gives way before that happens.
	StreamCap int64 `envconfig:"BROKER_STREAM_CAP" default:"1000000"`
	// Retention is how long acknowledged entries stay for replay.
	Retention time.Duration `envconfig:"BROKER_RETENTION" default:"24h"`
	// DeadLetterRetention bounds the keeping of dead letters that a sink took.
	// Dead letters without a sink stay until redriven or discarded.
	DeadLetterRetention time.Duration `envconfig:"BROKER_DEAD_LETTER_RETENTION" default:"168h"`
	// ClaimIdle is how long an entry may go unrenewed before another process
	// takes it over. Owners renew at a third of it.
	ClaimIdle time.Duration `envconfig:"BROKER_CLAIM_IDLE" default:"15s"`
	// Block is the longest a read waits in Redis, and so the longest that
	// stopping waits for a reader.
	Block time.Duration `envconfig:"BROKER_BLOCK" default:"1s"`
	// Parallelism is the default bound of concurrent deliveries of a Trigger.
	Parallelism int `envconfig:"BROKER_PARALLELISM" default:"64"`
	// DeliveryTimeout bounds an attempt where the Trigger names no timeout.
	DeliveryTimeout time.Duration `envconfig:"BROKER_DELIVERY_TIMEOUT" default:"60s"`
	// BackoffMax caps the wait between two attempts.
	BackoffMax time.Duration `envconfig:"BROKER_BACKOFF_MAX" default:"5m"`
	// BackoffJitter draws each wait evenly from 0 to the computed one.
	BackoffJitter bool `envconfig:"BROKER_BACKOFF_JITTER" default:"false"`
	// RetryAfterMax bounds an answered Retry-After where the Trigger does not.
	RetryAfterMax time.Duration `envconfig:"BROKER_RETRY_AFTER_MAX" default:"5m"`
	// SinkBackoff is the first wait after a dead letter sink failed; it doubles
	// up to BackoffMax, for ever.
	SinkBackoff time.Duration `envconfig:"BROKER_SINK_BACKOFF" default:"1s"`
	// RequireDurable makes Check fail, not warn, when Redis could lose what it
	// has acknowledged.
	RequireDurable bool `envconfig:"BROKER_REQUIRE_DURABLE" default:"false"`
	// WaitReplicas makes every append wait for that many replicas (WAIT).
	WaitReplicas int `envconfig:"BROKER_WAIT_REPLICAS" default:"0"`
	// RedisTimeout bounds one call to Redis, and so how late a 503 can be.
	RedisTimeout time.Duration `envconfig:"BROKER_REDIS_TIMEOUT" default:"2s"`
	// DrainTimeout is how long deliveries in flight may finish after Run's
	// context has ended; what remains stays pending.
	DrainTimeout time.Duration `envconfig:"BROKER_DRAIN_TIMEOUT" default:"20s"`
	// JanitorInterval is the time between two trims and between two samples of
	// the gauges.
	JanitorInterval time.Duration `envconfig:"BROKER_JANITOR_INTERVAL" default:"5s"`

	// Journal, if set, is called with each group of events before it is
	// appended; an error refuses the group with 503. It lets a local mode whose
	// Redis forgets keep a record of its own. Set before New.
	Journal func(context.Context, []event.Event) error `ignored:"true"`

	// now is the clock of due times; tests replace it.
	now func() time.Time
}

// DefaultConfig is what the environment gives when it sets nothing.
func DefaultConfig() Config {
	return Config{
		Partitions:          1,
		MaxEventBytes:       1 << 20,
		DedupWindow:         24 * time.Hour,
		StreamCap:           1_000_000,
		Retention:           24 * time.Hour,
		DeadLetterRetention: 7 * 24 * time.Hour,
		ClaimIdle:           15 * time.Second,
		Block:               time.Second,
		Parallelism:         64,
		DeliveryTimeout:     time.Minute,
		BackoffMax:          5 * time.Minute,
		RetryAfterMax:       5 * time.Minute,
		SinkBackoff:         time.Second,
		RedisTimeout:        2 * time.Second,
		DrainTimeout:        20 * time.Second,
		JanitorInterval:     5 * time.Second,
	}
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
	if c.Retention < 0 || c.DeadLetterRetention < 0 || c.DrainTimeout < 0 || c.WaitReplicas < 0 {
		errs = append(errs, errors.New("BROKER_RETENTION, BROKER_DEAD_LETTER_RETENTION, BROKER_DRAIN_TIMEOUT, "+
			"BROKER_WAIT_REPLICAS: must not be negative"))
	}
	return errors.Join(errs...)
}
