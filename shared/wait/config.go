package wait

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/creasty/defaults"

	"github.com/zixly/sweepline/shared/admission"
)

// Config is read from the environment. All processes of a pipeline must agree
// on it.
type Config struct {
	// RedisURL is the Redis of the pipeline: redis://, rediss:// or unix://. With ?addr=host:port&addr=…
	// it names a Redis Cluster, with ?master_name=… a Sentinel.
	RedisURL string `envconfig:"REDIS_URL" required:"nonempty"`
	// KeyPrefix begins every key and channel. Default "sweepline:".
	KeyPrefix string `envconfig:"REDIS_KEY_PREFIX" default:"sweepline:"`
	// CallbackTimeout is how long a sweep may take from its submission to its
	// result. Default 1h.
	CallbackTimeout time.Duration `envconfig:"CALLBACK_TIMEOUT" default:"1h"`
	// QueueTimeout is how long a job may be queued before its submission.
	// Default 24h.
	QueueTimeout time.Duration `envconfig:"QUEUE_TIMEOUT" default:"24h"`
	// MaxConcurrent is how many sweeps may be at the API at once, over all
	// tenants and processes. Default 5; 0 means no limit.
	MaxConcurrent int `envconfig:"TRADING_API_MAX_CONCURRENT" default:"5"`
	// SlotsKept is how many of MaxConcurrent are kept for tenants that hold none, so that no
	// tenant's long sweeps keep another from starting: a tenant that holds a slot gets
	// another only while more than that are free. No more are kept than there are
	// such tenants, and none where one tenant is alone. Auto: a quarter, one at least,
	// where tenants share, else none.
	SlotsKept int `envconfig:"TENANT_SLOTS_KEPT" default:"-1"`
	// RequestsPerMinute is how many calls the API takes in any minute, over all
	// processes, of whatever kind. Default 100; 0 means no limit.
	RequestsPerMinute int `envconfig:"TRADING_API_REQUESTS_PER_MINUTE" default:"100"`
	// Retention is how long the record of an ended job is kept to answer late
	// and repeated callbacks. Default 168h.
	Retention time.Duration `envconfig:"WAIT_RETENTION" default:"168h"`
	// SubmitLease is how long an attempt at submitting stays in charge after
	// its last sign of life. Default 20s.
	SubmitLease time.Duration `envconfig:"SUBMIT_LEASE" default:"20s"`
	// AdmissionTimeout is how long an admitted job has until it is submitting; then
	// the same admission event is sent again. Default 30s.
	AdmissionTimeout time.Duration `envconfig:"ADMISSION_TIMEOUT" default:"30s"`
	// ActionDelay is the delay after which the supervisor performs the pending actions
	// of a job's end, above all sending its event. Default 5s.
	ActionDelay time.Duration `envconfig:"ACTION_DELAY" default:"5s"`
	// BackoffMin is how long a circuit breaker stays open after a first failure of the
	// API; it doubles up to BackoffMax. Default 1s.
	BackoffMin time.Duration `envconfig:"TRADING_API_BACKOFF_MIN" default:"1s"`
	// BackoffMax is the longest time that a circuit breaker stays open. Default 30s.
	BackoffMax time.Duration `envconfig:"TRADING_API_BACKOFF_MAX" default:"30s"`
}

// Auto, as SlotsKept, leaves it to the program.
const Auto = -1

// acceptedTTL is how long an idempotency key is remembered whose job was never
// begun: the promise of the webhook.
const acceptedTTL = 24 * time.Hour

// withDefaults fills empty fields and names every one that is wrong. The
// limits have a meaning at 0 and stay.
func (c Config) withDefaults() (Config, error) {
	var usual Config // by the tags
	defaults.MustSet(&usual)
	c.KeyPrefix = cmp.Or(c.KeyPrefix, usual.KeyPrefix)
	var errs []error
	if c.MaxConcurrent < 0 {
		errs = append(errs, errors.New("TRADING_API_MAX_CONCURRENT: must not be negative"))
	}
	switch most := max(c.MaxConcurrent-1, 0); {
	case c.SlotsKept == Auto:
		c.SlotsKept = min(max(c.MaxConcurrent/4, 1), most)
	case c.SlotsKept < 0:
		errs = append(errs, errors.New("TENANT_SLOTS_KEPT: must not be negative"))
	case c.SlotsKept > most && c.MaxConcurrent > 0:
		errs = append(errs, errors.New("TENANT_SLOTS_KEPT: must be below TRADING_API_MAX_CONCURRENT"))
	default:
		c.SlotsKept = min(c.SlotsKept, most)
	}
	if c.RequestsPerMinute < 0 {
		errs = append(errs, errors.New("TRADING_API_REQUESTS_PER_MINUTE: must not be negative"))
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		usual time.Duration
	}{
		{"CALLBACK_TIMEOUT", &c.CallbackTimeout, usual.CallbackTimeout},
		{"QUEUE_TIMEOUT", &c.QueueTimeout, usual.QueueTimeout},
		{"WAIT_RETENTION", &c.Retention, usual.Retention},
		{"SUBMIT_LEASE", &c.SubmitLease, usual.SubmitLease},
		{"ADMISSION_TIMEOUT", &c.AdmissionTimeout, usual.AdmissionTimeout},
		{"ACTION_DELAY", &c.ActionDelay, usual.ActionDelay},
		{"TRADING_API_BACKOFF_MIN", &c.BackoffMin, usual.BackoffMin},
		{"TRADING_API_BACKOFF_MAX", &c.BackoffMax, usual.BackoffMax},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
		if *d.value < time.Millisecond {
			errs = append(errs, fmt.Errorf("%s: must be a duration above 0, such as %s", d.name, d.usual))
		}
	}
	if c.BackoffMin > c.BackoffMax {
		errs = append(errs, errors.New("TRADING_API_BACKOFF_MIN: must not be above TRADING_API_BACKOFF_MAX"))
	}
	return c, errors.Join(errs...)
}

func (c Config) limits() admission.Config {
	return admission.Config{
		MaxConcurrent: c.MaxConcurrent, Kept: c.SlotsKept, RequestsPerMinute: c.RequestsPerMinute, BackoffMin: c.BackoffMin, BackoffMax: c.BackoffMax,
	}
}
