package trading

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/job"
)

// ErrUnnamed: the API took a sweep and gave it no id by which it could be asked for. It
// may have started it all the same.
var ErrUnnamed = errors.New("response has no valid job_id")

// Submission is an accepted sweep.
type Submission struct {
	// JobID is the trading API's id, not ours.
	JobID string
	// EstimatedDuration is the API's own guess, 0 where it gives none.
	EstimatedDuration time.Duration
	// Combinations is the number of parameter pairs; where the API does not
	// say, it is counted from the request.
	Combinations int
	// CreatedAt is the API's time, zero where it gives none.
	CreatedAt time.Time
}

// Submit starts a sweep. callbackURL is where the API posts once it has ended,
// with headers on that post; a form has no place for headers and leaves them
// out. An error that is Uncertain may have started the sweep all the same:
// [Client.Find] looks for it.
func (c *Client) Submit(ctx context.Context, s job.Sweep, callbackURL string, headers map[string]string) (Submission, error) {
	const op = "submit sweep"
	r := call{
		op: op, endpoint: "submit", method: http.MethodPost,
		path: []string{"api", "v1", "strategy", "sweep"}, timeout: c.cfg.SubmitTimeout,
	}
	var err error
	if c.cfg.Encoding == Form {
		r.kind, r.body = "application/x-www-form-urlencoded", []byte(formBody(s, callbackURL))
	} else {
		r.kind = "application/json"
		r.body, err = json.Marshal(submitBody{Sweep: s, WebhookURL: callbackURL, WebhookHeaders: headers})
		if err != nil {
			return Submission{}, &Error{Op: op, cause: fmt.Errorf("encode sweep: %w", err)}
		}
	}
	var answer struct {
		JobID      string          `json:"job_id"`
		Estimate   float64         `json:"estimated_duration_seconds"`
		Parameters json.RawMessage `json:"parameters"`
		CreatedAt  stamp           `json:"created_at"`
	}
	if err := c.do(ctx, r, &answer); err != nil {
		return Submission{}, err
	}
	if !validJobID(answer.JobID) {
		return Submission{}, &Error{Op: op, Status: http.StatusOK, sent: true, cause: ErrUnnamed}
	}
	out := Submission{
		JobID:             answer.JobID,
		EstimatedDuration: seconds(answer.Estimate),
		Combinations:      readParameters(answer.Parameters).Combinations,
		CreatedAt:         answer.CreatedAt.Time,
	}
	if out.Combinations <= 0 {
		out.Combinations = s.Combinations()
	}
	return out, nil
}

// submitBody is the JSON submission: the sweep's own fields and the webhook.
type submitBody struct {
	job.Sweep
	WebhookURL     string            `json:"webhook_url"`
	WebhookHeaders map[string]string `json:"webhook_headers,omitempty"`
}

func formBody(s job.Sweep, callbackURL string) string {
	pair := func(p [2]int) string { return fmt.Sprintf("[%d, %d]", p[0], p[1]) }
	form := url.Values{
		"ticker":        {s.Ticker},
		"fast_range":    {pair(s.FastRange)},
		"slow_range":    {pair(s.SlowRange)},
		"step":          {strconv.Itoa(s.Step)},
		"min_trades":    {strconv.Itoa(s.MinTrades)},
		"strategy_type": {s.StrategyType},
		"webhook_url":   {callbackURL},
	}
	if s.ConfigPath != "" {
		form.Set("config_path", s.ConfigPath)
	}
	return form.Encode()
}

// seconds bounds an estimate from outside to a week, so that it can't overflow.
func seconds(s float64) time.Duration {
	const week = 7 * 24 * 3600
	if !(s > 0) {
		return 0
	}
	return time.Duration(min(s, week) * float64(time.Second))
}
