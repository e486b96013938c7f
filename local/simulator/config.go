package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/creasty/defaults"
)

// DevKey is the API key that the development installation accepts.
const DevKey = "dev-key-000000000000000000000000"

// Dialects of the webhook body and of the job status.
const (
	// WebhookAuto sends the event body for JSON submissions, the job-status
	// body for form submissions.
	WebhookAuto = "auto"
	// WebhookEvent always sends the body with event_type.
	WebhookEvent = "event"
	// WebhookStatus always sends the job-status object.
	WebhookStatus = "status"

	// StatusFull answers a status request with the whole job object.
	StatusFull = "full"
	// StatusMinimal answers it with status, sweep_run_id and error_message only.
	StatusMinimal = "minimal"
)

// Config says how the simulated API behaves. Start from [DefaultConfig]; in the
// zero value every limit, delay and fault is off.
type Config struct {
	// APIKey is what X-API-Key must hold. Empty: the development key.
	APIKey string `envconfig:"SIMULATOR_API_KEY" default:"dev-key-000000000000000000000000"`

	// Delay is the shortest time a sweep runs, so that progress can be seen
	// moving. Default 2s; 0 ends a sweep as soon as it is computed.
	Delay time.Duration `envconfig:"SIMULATOR_DELAY" default:"2s"`

	// MaxConcurrent is how many sweeps run at once. Default 5; 0 means no limit.
	MaxConcurrent int `envconfig:"SIMULATOR_MAX_CONCURRENT" default:"5"`

	// RejectBusy answers a submission above MaxConcurrent with 429 instead of
	// letting it wait as pending. Default false.
	RejectBusy bool `envconfig:"SIMULATOR_REJECT_BUSY" default:"false"`

	// RequestsPerMinute limits all calls but /health; above it they get 429
	// with Retry-After. The real API allows 100. Default 0, no limit, so that a
	// demo on a laptop is not throttled.
	RequestsPerMinute int `envconfig:"SIMULATOR_REQUESTS_PER_MINUTE" default:"0"`

	// Workers is how many grid rows are computed at once over all sweeps.
	// Default 0: one less than the CPUs, at least one, so the machine stays
	// responsive.
	Workers int `envconfig:"SIMULATOR_WORKERS" default:"0"`

	// Seed makes faults and synthetic prices repeatable: the n-th submission
	// meets the same faults under the same seed. Default 1.
	Seed uint64 `envconfig:"SIMULATOR_SEED" default:"1"`

	// LoseCallbacks is the probability (0–1) that a webhook is never sent.
	LoseCallbacks float64 `envconfig:"SIMULATOR_LOSE_CALLBACKS" default:"0"`
	// DuplicateCallbacks is the probability that a webhook is sent twice.
	DuplicateCallbacks float64 `envconfig:"SIMULATOR_DUPLICATE_CALLBACKS" default:"0"`
	// EarlyCallbacks is the probability that a sweep ends, and its webhook is
	// sent, before the submission is answered. Such a sweep skips Delay and the
	// wait for a free place.
	EarlyCallbacks float64 `envconfig:"SIMULATOR_EARLY_CALLBACKS" default:"0"`
	// LateCallbacks is the longest time by which a webhook is held back; each
	// takes a random part of it, so that webhooks also change their order.
	LateCallbacks time.Duration `envconfig:"SIMULATOR_LATE_CALLBACKS" default:"0"`
	// LoseAnswers is the probability that a submission is accepted but its
	// connection is cut before the answer.
	LoseAnswers float64 `envconfig:"SIMULATOR_LOSE_ANSWERS" default:"0"`
	// Fail is the probability that a sweep ends as failed.
	Fail float64 `envconfig:"SIMULATOR_FAIL" default:"0"`

	// WebhookDialect is the body of webhooks: event, status, or auto for event after JSON
	// submissions and status after forms.
	WebhookDialect string `envconfig:"SIMULATOR_WEBHOOK_DIALECT" default:"auto"`
	// StatusDialect is the answer to a status request: full, or minimal for the status,
	// the run id and the error alone.
	StatusDialect string `envconfig:"SIMULATOR_STATUS_DIALECT" default:"full"`

	// ListJobs is how many jobs one answer of the list holds at most. Default 1000.
	ListJobs int `envconfig:"SIMULATOR_LIST_JOBS" default:"1000"`
	// ListOnePage makes the list pass over ?offset=, as an API that knows no pages
	// does. Default false.
	ListOnePage bool `envconfig:"SIMULATOR_LIST_ONE_PAGE" default:"false"`

	// PricesDir is a folder of CSV files that come before the built-in prices;
	// local/simulator/README.md has their form. It is read anew by every sweep. Empty: none.
	PricesDir string `envconfig:"SIMULATOR_PRICES_DIR"`

	// StateDir keeps accepted sweeps over a restart: an outside API does not
	// forget its jobs because our process died. Empty: memory only.
	StateDir string `envconfig:"SIMULATOR_STATE_DIR"`

	// KeepJobs is how many ended jobs stay known. Default 10000; 0 means that.
	KeepJobs int `envconfig:"SIMULATOR_KEEP_JOBS" default:"10000"`
}

// DefaultConfig is the configuration of `sweepline simulator` without flags.
func DefaultConfig() Config {
	var c Config
	defaults.MustSet(&c)
	return c
}

// withDefaults fills what has no meaningful zero and names all that is wrong.
func (c Config) withDefaults() (Config, error) {
	usual := DefaultConfig()
	c.APIKey = cmp.Or(c.APIKey, usual.APIKey)
	c.WebhookDialect = cmp.Or(c.WebhookDialect, usual.WebhookDialect)
	c.StatusDialect = cmp.Or(c.StatusDialect, usual.StatusDialect)
	c.KeepJobs = cmp.Or(c.KeepJobs, usual.KeepJobs)
	c.ListJobs = cmp.Or(c.ListJobs, usual.ListJobs)
	var errs []error
	for _, p := range []struct {
		name  string
		value float64
	}{
		{"SIMULATOR_LOSE_CALLBACKS", c.LoseCallbacks},
		{"SIMULATOR_DUPLICATE_CALLBACKS", c.DuplicateCallbacks},
		{"SIMULATOR_EARLY_CALLBACKS", c.EarlyCallbacks},
		{"SIMULATOR_LOSE_ANSWERS", c.LoseAnswers},
		{"SIMULATOR_FAIL", c.Fail},
	} {
		// Written so that NaN is refused as well.
		if !(p.value >= 0 && p.value <= 1) {
			errs = append(errs, fmt.Errorf("%s: %v: must be a probability from 0 to 1", p.name, p.value))
		}
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"SIMULATOR_DELAY", int64(c.Delay)},
		{"SIMULATOR_LATE_CALLBACKS", int64(c.LateCallbacks)},
		{"SIMULATOR_MAX_CONCURRENT", int64(c.MaxConcurrent)},
		{"SIMULATOR_REQUESTS_PER_MINUTE", int64(c.RequestsPerMinute)},
		{"SIMULATOR_WORKERS", int64(c.Workers)},
		{"SIMULATOR_KEEP_JOBS", int64(c.KeepJobs)},
		{"SIMULATOR_LIST_JOBS", int64(c.ListJobs)},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s: must not be negative", n.name))
		}
	}
	switch c.WebhookDialect {
	case WebhookAuto, WebhookEvent, WebhookStatus:
	default:
		errs = append(errs, fmt.Errorf("SIMULATOR_WEBHOOK_DIALECT: %q is none of auto, event, status", c.WebhookDialect))
	}
	switch c.StatusDialect {
	case StatusFull, StatusMinimal:
	default:
		errs = append(errs, fmt.Errorf("SIMULATOR_STATUS_DIALECT: %q is none of full, minimal", c.StatusDialect))
	}
	return c, errors.Join(errs...)
}
