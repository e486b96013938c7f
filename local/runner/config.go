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
)

// Config says how to run. The fields with tags come from the environment, the
// others from flags. Ports: 0 means any free one.
type Config struct {
	// Port is the public one: webhooks, API, dashboard.
	Port int
	// BrokerPort is the broker's ingress, /{namespace}/{broker}.
	BrokerPort int
	// TradingPort is the simulator's.
	TradingPort int
	// AdminPort serves metrics and health of the process.
	AdminPort int
	// DataDir keeps everything that outlives the process. Empty: sweepline
	// under the user's data folder ($XDG_DATA_HOME, ~/.local/share).
	DataDir string
	// Servers starts private Redis and PostgreSQL servers where no URL is set.
	Servers bool
	// SimulatorDelay is how long the simulator lets a sweep take at least.
	SimulatorDelay time.Duration
	// PricesDir holds CSV price files for the simulator; empty: DataDir/prices.
	PricesDir string

	RedisURL       string `envconfig:"REDIS_URL"`
	DatabaseURL    string `envconfig:"DATABASE_URL"`
	TradingURL     string `envconfig:"TRADING_API_URL"`
	WebhookBaseURL string `envconfig:"WEBHOOK_BASE_URL"`
	CallbackSecret string `envconfig:"CALLBACK_SECRET"`
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
		return "", fmt.Errorf("make data folder: %w", err)
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
