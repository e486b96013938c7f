package trading

import (
	"errors"
	"fmt"
	"time"

	"github.com/creasty/defaults"

	"github.com/zixly/sweepline/shared/transport"
)

// Encodings of a submission.
const (
	// JSON sends an object; webhook headers go along.
	JSON = "json"
	// Form sends the same fields as a form; it has no place for webhook headers.
	Form = "form"
)

// Config says where the trading API is and how it is spoken to.
type Config struct {
	// URL is the trading API's base. Default http://localhost:8000.
	URL string `envconfig:"TRADING_API_URL" default:"http://localhost:8000"`
	// Key goes into X-API-Key and nowhere else. Default: the API's public
	// development key.
	Key string `envconfig:"TRADING_API_KEY" default:"dev-key-000000000000000000000000"`
	// Encoding is the form of submissions: json, or form for the older dialect.
	Encoding string `envconfig:"TRADING_API_ENCODING" default:"json"`
	// SubmitTimeout bounds one submission. To give up early leaves a sweep whose id
	// nobody knows. Default 30s.
	SubmitTimeout time.Duration `envconfig:"TRADING_API_SUBMIT_TIMEOUT" default:"30s"`
	// Timeout bounds every other call, and each page of results. Default 10s.
	Timeout time.Duration `envconfig:"TRADING_API_TIMEOUT" default:"10s"`
}

// withDefaults fills empty fields and names every one that is wrong.
func (c Config) withDefaults() (Config, error) {
	defaults.MustSet(&c)
	var errs []error
	if _, err := transport.ParseBase(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("TRADING_API_URL: %w", err))
	}
	if !printable(c.Key) {
		// The key itself is not repeated: this text ends up in logs.
		errs = append(errs, errors.New("TRADING_API_KEY: must be printable ASCII"))
	}
	if c.Encoding != JSON && c.Encoding != Form {
		errs = append(errs, fmt.Errorf("TRADING_API_ENCODING: must be json or form, got %q", c.Encoding))
	}
	if c.SubmitTimeout < 0 {
		errs = append(errs, errors.New("TRADING_API_SUBMIT_TIMEOUT: must not be negative"))
	}
	if c.Timeout < 0 {
		errs = append(errs, errors.New("TRADING_API_TIMEOUT: must not be negative"))
	}
	return c, errors.Join(errs...)
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
