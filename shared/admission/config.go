package admission

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Config is the limits of the trading API. All processes must agree on it.
type Config struct {
	// MaxConcurrent is how many sweeps may be at the API at once; 0 means no
	// limit.
	MaxConcurrent int
	// Kept is how many of the slots are kept for tenants that hold none, where
	// tenants share. It is below MaxConcurrent.
	Kept int
	// RequestsPerMinute is how many calls the API takes in any minute; 0 means
	// no limit.
	RequestsPerMinute int
	// BackoffMin and BackoffMax bound how long a breaker stays open after failures.
	BackoffMin, BackoffMax time.Duration
}

const (
	// Fresh is how long a granted call may be made: it was counted in the minute of the
	// grant. An admission may wait that long before its attempt starts, and the attempt
	// has as long again.
	Fresh = 2500 * time.Millisecond
	// span is the minute that the API counts in, and all the time by which a
	// call may come later than it was counted.
	span = time.Minute + 2*Fresh
	// grace is how long a call is kept for a party that was told when to retry.
	grace = time.Second
	// probeTime is how long the probe of a half-open breaker may keep the others
	// waiting.
	probeTime = 10 * time.Second
	// maxAdmitted is how many admitted jobs may not have started, without a slot
	// limit.
	maxAdmitted = 64
)

// burst is how many calls may be made at once after a quiet time, and reserve how
// many of them only deadlines may use.
func (c Config) burst() (burst, reserve int) {
	if c.RequestsPerMinute == 0 {
		return 0, 0
	}
	burst = max(c.RequestsPerMinute/8, 1)
	return burst, burst / 4
}

// every is the time to which one call is booked, in ms. No span of time, wherever
// it begins, sees more than burst + span/every calls, rounded down.
func (c Config) every() float64 {
	n := c.RequestsPerMinute
	if n == 0 {
		return 0
	}
	burst, _ := c.burst()
	return math.Ceil(float64(span.Microseconds())/float64(n+1-burst)) / 1000
}

// limits is the form in which scripts get the configuration: lua/limits.lua.
func (c Config) limits() string {
	burst, reserve := c.burst()
	admitted := maxAdmitted
	if burst > 0 {
		admitted = min(admitted, burst) // calls that were granted and may never be made
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	text := []string{
		strconv.Itoa(c.MaxConcurrent), strconv.Itoa(admitted), strconv.Itoa(burst), strconv.Itoa(reserve), number(c.every()),
	}
	for _, d := range []time.Duration{Fresh, grace, c.BackoffMin, c.BackoffMax, probeTime} {
		text = append(text, strconv.FormatInt(d.Milliseconds(), 10))
	}
	return strings.Join(append(text, strconv.Itoa(c.Kept)), ",")
}

func (c Config) validate() error {
	if c.MaxConcurrent < 0 || c.Kept < 0 || c.Kept > max(c.MaxConcurrent-1, 0) || c.RequestsPerMinute < 0 || c.BackoffMin <= 0 || c.BackoffMax < c.BackoffMin {
		return fmt.Errorf("invalid limits of the trading API: %+v", c)
	}
	return nil
}
