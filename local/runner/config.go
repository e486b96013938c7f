// Package runner is the whole pipeline on one machine, in one process: the
// broker, every function on a loopback port of its own behind it, the public
// port, and, unless a real one is named, the trading API's simulator. The
// functions are the ones that run on a cluster, wired by the same Broker and
// Trigger manifests; nothing is passed from one to another but over HTTP.
package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/zixly/sweepline/shared/auth"
)

// Role is a share of the pipeline's work. The processes of a pipeline that is split
// by role have the same Redis, database and CALLBACK_SECRET, and a folder each.
type Role string

const (
	// All does everything.
	All Role = "all"
	// Receiver takes jobs in: what it has answered with 202 is durable, and stays in
	// its queues. It delivers nothing and looks after no waiting job.
	Receiver Role = "receiver"
	// Worker does everything but take jobs in: the address for that is not there.
	Worker Role = "worker"
)

// ParseRole reads a role's name. An empty one is All.
func ParseRole(name string) (Role, error) {
	switch r := Role(name); r {
	case "":
		return All, nil
	case All, Receiver, Worker:
		return r, nil
	}
	return "", fmt.Errorf("role %q must be one of %s, %s, %s", name, All, Receiver, Worker)
}

// Config says how to run. The fields that are not ignored come from the environment, the
// others from flags. Ports: 0 means any free one.
type Config struct {
	// Port is the public one: webhooks, API, dashboard.
	Port int `ignored:"true"`
	// BrokerPort is the broker's ingress, /{namespace}/{broker}.
	BrokerPort int `ignored:"true"`
	// TradingPort is the simulator's.
	TradingPort int `ignored:"true"`
	// AdminPort serves metrics and health of the process.
	AdminPort int `ignored:"true"`
	// DataDir keeps everything that outlives the process. Empty: sweepline
	// under the user's data folder ($XDG_DATA_HOME, ~/.local/share).
	DataDir string `ignored:"true"`
	// Servers starts private Redis and PostgreSQL servers where no URL is set.
	Servers bool `ignored:"true"`
	// Role is the part of the work that this process does. Default All.
	Role Role `ignored:"true"`
	// SimulatorDelay is how long the simulator lets a sweep take at least.
	SimulatorDelay time.Duration `ignored:"true"`
	// PricesDir holds CSV price files for the simulator; empty: what SIMULATOR_PRICES_DIR
	// says.
	PricesDir string `ignored:"true"`

	// SchedulesDir holds PingSource manifests to run; empty: none are.
	SchedulesDir string `ignored:"true"`

	// RedisURL is a Redis of yours. Empty: an embedded one, or a private server.
	RedisURL string `envconfig:"REDIS_URL"`
	// DatabaseURL is a PostgreSQL of yours. Empty: SQLite, or a private server.
	DatabaseURL string `envconfig:"DATABASE_URL"`
	// DatabaseReadURL is the same database by a login that reads one tenant's rows at a
	// time. Empty: the same as DatabaseURL.
	DatabaseReadURL string `envconfig:"DATABASE_READ_URL"`
	// DatabaseSurveyURL is the same database by a login that reads all tenants' rows.
	// Empty: the same as DatabaseURL.
	DatabaseSurveyURL string `envconfig:"DATABASE_SURVEY_URL"`

	// TradingURL is the trading API. Empty: the simulator is started.
	TradingURL string `envconfig:"TRADING_API_URL"`
	// WebhookBaseURL is where the trading API and people reach the public port. Empty: at
	// loopback.
	WebhookBaseURL string `envconfig:"WEBHOOK_BASE_URL"`
	// CallbackSecret is made once and kept in the data folder where it is empty.
	CallbackSecret string `envconfig:"CALLBACK_SECRET"`
	// AllowedHosts are names, comma between, to answer for beside those of loopback and the host of
	// WebhookBaseURL: what a proxy in front puts in Host.
	AllowedHosts []string `envconfig:"ALLOWED_HOSTS"`
	// SecretSet says that the variable is there: set but empty is an error.
	SecretSet auth.Present `envconfig:"CALLBACK_SECRET"`
	// SealKeySet is the same of the key of seals.
	SealKeySet auth.Present `envconfig:"EVENT_SEAL_KEY"`
}

// Folder makes the data folder and gives its path.
func (c Config) Folder() (string, error) {
	dir := c.DataDir
	if dir == "" {
		base, err := dataHome()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(base, "sweepline")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("create data folder: %w", err)
	}
	return dir, nil
}

// dataHome is the XDG base directory for user data.
func dataHome() (string, error) {
	if dir := xdgDataHome(); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no home folder: name one with --data-dir")
	}
	return filepath.Join(home, ".local", "share"), nil
}
