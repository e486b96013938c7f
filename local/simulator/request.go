package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const (
	strategySMA  = "SMA"
	strategyEMA  = "EMA"
	strategyMACD = "MACD"
)

// maxBody bounds a submission.
const maxBody = 64 << 10

var tickerForm = regexp.MustCompile(`^[A-Za-z0-9.\-^=/]{3,20}$`)

// request is a submitted sweep. Its JSON is also what the state file keeps.
type request struct {
	Ticker         string            `json:"ticker"`
	FastRange      [2]int            `json:"fast_range"`
	SlowRange      [2]int            `json:"slow_range"`
	Step           int               `json:"step"`
	MinTrades      int               `json:"min_trades"`
	Strategy       string            `json:"strategy_type"`
	ConfigPath     string            `json:"config_path,omitempty"`
	WebhookURL     string            `json:"webhook_url,omitempty"`
	WebhookHeaders map[string]string `json:"webhook_headers,omitempty"`

	// Form is set where the submission came as a form: the older dialect.
	Form bool `json:"form,omitempty"`
}

// invalidError is a submission that the API refuses with 422.
type invalidError struct{ problems []string }

func (e *invalidError) Error() string { return strings.Join(e.problems, "; ") }

// readRequest reads a submission in either encoding. The error is an
// *invalidError where the content is at fault.
func readRequest(w http.ResponseWriter, r *http.Request) (request, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return request{}, fmt.Errorf("read submission: %w", err)
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var req request
	switch kind {
	case "application/json":
		req, err = parseJSON(body)
	case "application/x-www-form-urlencoded":
		req, err = parseForm(body)
	default:
		err = &invalidError{[]string{"body: neither application/json nor application/x-www-form-urlencoded"}}
	}
	if err != nil {
		return request{}, err
	}
	if problems := req.problems(); len(problems) > 0 {
		return request{}, &invalidError{problems}
	}
	return req, nil
}

// submission is the JSON body; what may be left out is a pointer.
type submission struct {
	Ticker         string            `json:"ticker"`
	FastRange      []int             `json:"fast_range"`
	SlowRange      []int             `json:"slow_range"`
	Step           *int              `json:"step"`
	MinTrades      *int              `json:"min_trades"`
	Strategy       *string           `json:"strategy_type"`
	ConfigPath     *string           `json:"config_path"`
	WebhookURL     *string           `json:"webhook_url"`
	WebhookHeaders map[string]string `json:"webhook_headers"`
}

// parseJSON reads a JSON submission. Like the real service it passes over
// fields that it does not know.
func parseJSON(body []byte) (request, error) {
	var s submission
	if err := json.Unmarshal(body, &s); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return request{}, &invalidError{[]string{fmt.Sprintf("%s: must not be a %s", wrong.Field, wrong.Value)}}
		}
		return request{}, &invalidError{[]string{"body: no valid JSON"}}
	}
	return s.request()
}

// parseForm reads a form submission; its ranges are JSON text such as [10, 20].
func parseForm(body []byte) (request, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return request{}, &invalidError{[]string{"body: no valid form"}}
	}
	var s submission
	var problems []string
	s.Ticker = form.Get("ticker")
	for name, into := range map[string]*[]int{"fast_range": &s.FastRange, "slow_range": &s.SlowRange} {
		if err := json.Unmarshal([]byte(form.Get(name)), into); err != nil {
			problems = append(problems, name+": must be two integers as JSON text")
		}
	}
	for name, into := range map[string]**int{"step": &s.Step, "min_trades": &s.MinTrades} {
		if !form.Has(name) {
			continue
		}
		n, err := strconv.Atoi(form.Get(name))
		if err != nil {
			problems = append(problems, name+": must be an integer")
		}
		*into = &n
	}
	for name, into := range map[string]**string{
		"strategy_type": &s.Strategy, "config_path": &s.ConfigPath, "webhook_url": &s.WebhookURL,
	} {
		if form.Has(name) {
			v := form.Get(name)
			*into = &v
		}
	}
	if len(problems) > 0 {
		return request{}, &invalidError{problems}
	}
	req, err := s.request()
	req.Form = true
	return req, err
}

func (s submission) request() (request, error) {
	req := request{Ticker: s.Ticker, MinTrades: 50, Strategy: strategySMA, WebhookHeaders: s.WebhookHeaders}
	var problems []string
	if len(s.FastRange) == 2 {
		req.FastRange = [2]int(s.FastRange)
	} else {
		problems = append(problems, "fast_range: must be two integers")
	}
	if len(s.SlowRange) == 2 {
		req.SlowRange = [2]int(s.SlowRange)
	} else {
		problems = append(problems, "slow_range: must be two integers")
	}
	if s.Step != nil {
		req.Step = *s.Step
	}
	if s.MinTrades != nil {
		req.MinTrades = *s.MinTrades
	}
	if s.Strategy != nil {
		req.Strategy = *s.Strategy
	}
	if s.ConfigPath != nil {
		req.ConfigPath = *s.ConfigPath
	}
	if s.WebhookURL != nil {
		req.WebhookURL = *s.WebhookURL
	}
	if len(problems) > 0 {
		return request{}, &invalidError{problems}
	}
	return req, nil
}

// problems are all the rules that the request breaks.
func (r request) problems() []string {
	var out []string
	check := func(ok bool, problem string) {
		if !ok {
			out = append(out, problem)
		}
	}
	check(tickerForm.MatchString(r.Ticker), "ticker: must be 3 to 20 characters of A-Z a-z 0-9 . - ^ = /")
	for _, b := range []struct {
		name  string
		value [2]int
	}{{"fast_range", r.FastRange}, {"slow_range", r.SlowRange}} {
		check(b.value[0] >= 1 && b.value[1] <= 500, b.name+": each must be from 1 to 500")
		check(b.value[0] <= b.value[1], b.name+": must not fall")
	}
	check(r.FastRange[0] < r.SlowRange[0], "fast_range: its start must be below the start of slow_range")
	check(r.FastRange[1] < r.SlowRange[1], "fast_range: its end must be below the end of slow_range")
	check(r.Step >= 1 && r.Step <= 50, "step: must be from 1 to 50")
	check(r.MinTrades >= 10 && r.MinTrades <= 1000, "min_trades: must be from 10 to 1000")
	check(r.Strategy == strategySMA || r.Strategy == strategyEMA || r.Strategy == strategyMACD,
		"strategy_type: must be SMA, EMA or MACD")
	check(r.ConfigPath == "" || r.ConfigPath == "minimum" || r.ConfigPath == "standard",
		"config_path: must be minimum or standard")
	if r.WebhookURL != "" {
		u, err := url.Parse(r.WebhookURL)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "",
			"webhook_url: must be an http or https URL")
	}
	return out
}
