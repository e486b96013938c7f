package job

import (
	"fmt"
	"regexp"
	"sort"
	"strings"
)

// Strategies that the trading API can sweep.
const (
	SMA  = "SMA"
	EMA  = "EMA"
	MACD = "MACD"
)

// Limits of a sweep's parameters.
const (
	MinPeriod, MaxPeriod       = 1, 500
	MinStep, MaxStep           = 1, 50
	MinTradesLow, MinTradesTop = 10, 1000
	DefaultMinTrades           = 50
)

// Sweep is what a client asks for: the JSON payload of the webhook, and the
// body sent on to the trading API.
type Sweep struct {
	Ticker string `json:"ticker"`
	// FastRange and SlowRange are periods in days, both ends included.
	FastRange    [2]int `json:"fast_range"`
	SlowRange    [2]int `json:"slow_range"`
	Step         int    `json:"step"`
	MinTrades    int    `json:"min_trades"`
	StrategyType string `json:"strategy_type"`
	ConfigPath   string `json:"config_path,omitempty"`
}

// Combinations counts the (fast, slow) pairs on the grid with fast < slow.
func (s Sweep) Combinations() int {
	n := 0
	for fast := s.FastRange[0]; fast <= s.FastRange[1]; fast += max(s.Step, 1) {
		for slow := s.SlowRange[0]; slow <= s.SlowRange[1]; slow += max(s.Step, 1) {
			if fast < slow {
				n++
			}
		}
	}
	return n
}

// Problem is one thing that is wrong with a payload.
type Problem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Invalid is the error of a payload that breaks rules; it names all of them.
type Invalid []Problem

// Error joins the problems in one line.
func (p Invalid) Error() string {
	p = p.Few()
	lines := make([]string, len(p))
	for i, q := range p {
		lines[i] = q.Field + ": " + q.Message
	}
	return strings.Join(lines, "; ")
}

var tickerPattern = regexp.MustCompile(`^[A-Za-z0-9.\-^=/]{3,20}$`)

const tickerRule = "must be 3 to 20 characters of A-Z a-z 0-9 . - ^ = /"

// ValidTicker reports whether a sweep's ticker can be named so.
func ValidTicker(s string) bool { return tickerPattern.MatchString(s) }

// Validate returns nil or an Invalid with every problem of s.
func (s Sweep) Validate() error {
	var p Invalid
	s.check(&p, func(string) bool { return true })
	return p.orNil()
}

// mostProblems is how many problems one answer names.
const mostProblems = 20

// Sort orders problems by field; those of one field stay in their order.
func (p Invalid) Sort() {
	sort.SliceStable(p, func(i, j int) bool { return p[i].Field < p[j].Field })
}

// Few is p, or its first problems and how many more there are: whoever sends
// thousands of mistakes is not answered with as many sentences.
func (p Invalid) Few() Invalid {
	if len(p) <= mostProblems {
		return p
	}
	return append(p[:mostProblems:mostProblems], Problem{Field: "body", Message: fmt.Sprintf("and %d more problems", len(p)-mostProblems)})
}

func (p Invalid) orNil() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

func (p *Invalid) add(field, format string, args ...any) {
	*p = append(*p, Problem{Field: field, Message: fmt.Sprintf(format, args...)})
}

// check adds the rules that s breaks. known says whether a field has a value
// worth checking, so that a missing field is not reported twice.
func (s Sweep) check(p *Invalid, known func(field string) bool) {
	if known("ticker") && !ValidTicker(s.Ticker) {
		p.add("ticker", tickerRule)
	}
	fast := known("fast_range") && checkRange(p, "fast_range", s.FastRange)
	slow := known("slow_range") && checkRange(p, "slow_range", s.SlowRange)
	if fast && slow {
		if s.FastRange[0] >= s.SlowRange[0] {
			p.add("slow_range", "its minimum must be above the minimum of fast_range")
		}
		if s.FastRange[1] >= s.SlowRange[1] {
			p.add("slow_range", "its maximum must be above the maximum of fast_range")
		}
	}
	if known("step") && (s.Step < MinStep || s.Step > MaxStep) {
		p.add("step", "must be %d to %d", MinStep, MaxStep)
	}
	if known("min_trades") && (s.MinTrades < MinTradesLow || s.MinTrades > MinTradesTop) {
		p.add("min_trades", "must be %d to %d", MinTradesLow, MinTradesTop)
	}
	if known("strategy_type") {
		switch s.StrategyType {
		case SMA, EMA, MACD:
		default:
			p.add("strategy_type", "must be SMA, EMA or MACD")
		}
	}
	if known("config_path") {
		switch s.ConfigPath {
		case "", "minimum", "standard":
		default:
			p.add("config_path", "must be minimum or standard")
		}
	}
}

func checkRange(p *Invalid, field string, r [2]int) bool {
	switch {
	case r[0] < MinPeriod || r[0] > MaxPeriod || r[1] < MinPeriod || r[1] > MaxPeriod:
		p.add(field, "both ends must be %d to %d", MinPeriod, MaxPeriod)
	case r[0] > r[1]:
		p.add(field, "its first number must not be above its second")
	default:
		return true
	}
	return false
}
