package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// jobAnswer is a job as GET /api/v1/jobs/{id} shows it.
type jobAnswer struct {
	JobID       string      `json:"job_id"`
	Status      string      `json:"status"`
	Progress    int         `json:"progress"`
	Group       string      `json:"command_group"`
	Command     string      `json:"command_name"`
	Parameters  parameters  `json:"parameters"`
	ResultPath  *string     `json:"result_path"`
	ResultData  *resultData `json:"result_data"`
	Error       *string     `json:"error_message"`
	CreatedAt   string      `json:"created_at"`
	StartedAt   *string     `json:"started_at"`
	CompletedAt *string     `json:"completed_at"`
}

// parameters are a job's own words. webhook_headers are not shown: they may
// hold secrets of the caller.
type parameters struct {
	Ticker       string `json:"ticker"`
	FastRange    [2]int `json:"fast_range"`
	SlowRange    [2]int `json:"slow_range"`
	Step         int    `json:"step"`
	MinTrades    int    `json:"min_trades"`
	Strategy     string `json:"strategy_type"`
	ConfigPath   string `json:"config_path,omitempty"`
	WebhookURL   string `json:"webhook_url,omitempty"`
	Combinations int    `json:"combinations"`
}

// resultData is what a completed sweep says of itself. In the older dialect the
// run id stands in the text of output only.
type resultData struct {
	RunID       string      `json:"sweep_run_id,omitempty"`
	Total       int         `json:"total_combinations"`
	Seconds     float64     `json:"execution_time_seconds"`
	CompletedAt string      `json:"completed_at,omitempty"`
	Output      string      `json:"output,omitempty"`
	DataSource  string      `json:"data_source,omitempty"`
	Synthetic   bool        `json:"synthetic"`
	Data        *dataAnswer `json:"data,omitempty"`
}

// dataAnswer is what a sweep was computed on. Days are as the file writes them, and
// left out where the prices are made up. See series.data for the hash.
type dataAnswer struct {
	Source   string `json:"source"`
	FirstDay string `json:"first_day,omitempty"`
	LastDay  string `json:"last_day,omitempty"`
	Bars     int    `json:"bars"`
	Hash     string `json:"hash"`
	// BuyAndHold is the return, in percent, of one unit held from the first close to the
	// last.
	BuyAndHold float64 `json:"buy_and_hold_pct"`
}

// answer is the job as it now stands. The caller holds mu.
func (s *Simulator) answer(j *sweep) jobAnswer {
	a := jobAnswer{
		JobID: j.id, Status: j.status, Progress: j.progress(s.clock.Now(), s.cfg.Delay),
		Group: "strategy", Command: "sweep", Parameters: j.parameters(), ResultData: j.resultData(),
		CreatedAt: stamp(j.created, j.req.Form),
		StartedAt: j.stampOf(j.started), CompletedAt: j.stampOf(j.completed),
	}
	if j.message != "" {
		a.Error = &j.message
	}
	return a
}

func (j *sweep) parameters() parameters {
	r := j.req
	return parameters{
		Ticker: r.Ticker, FastRange: r.FastRange, SlowRange: r.SlowRange, Step: r.Step,
		MinTrades: r.MinTrades, Strategy: r.Strategy, ConfigPath: r.ConfigPath,
		WebhookURL: r.WebhookURL, Combinations: j.total,
	}
}

// resultData is nil until the sweep is completed. The caller holds mu.
func (j *sweep) resultData() *resultData {
	if j.status != completed {
		return nil
	}
	d := &resultData{
		Total: j.total, Seconds: round6(j.completed.Sub(j.started).Seconds()),
		CompletedAt: stamp(j.completed, j.req.Form), DataSource: j.source, Synthetic: j.synthetic, Data: j.data,
	}
	if j.req.Form {
		d.Output = fmt.Sprintf("Sweep of %s finished: %d combinations, sweep_run_id: %s", j.req.Ticker, j.total, j.runID)
	} else {
		d.RunID = j.runID
	}
	return d
}

func (j *sweep) stampOf(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := stamp(t, j.req.Form)
	return &text
}

// stamp writes a time in UTC; the older dialect leaves the zone out.
func stamp(t time.Time, older bool) string {
	if older {
		return t.UTC().Format("2006-01-02T15:04:05.000000")
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// writeJSON answers with v. A client that has gone is no concern of the API.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "answer could not be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

type errorAnswer struct {
	Error     string `json:"error"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	Timestamp string `json:"timestamp"`
}

func (s *Simulator) refuse(w http.ResponseWriter, status int, code, detail string) {
	writeJSON(w, status, errorAnswer{
		Error: http.StatusText(status), Detail: detail, Code: code,
		Timestamp: stamp(s.clock.Now(), false),
	})
}

// refuseAfter refuses and says when to come again, in whole seconds.
func (s *Simulator) refuseAfter(w http.ResponseWriter, status int, code, detail string, after time.Duration) {
	if after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
	s.refuse(w, status, code, detail)
}

// withoutURL takes the URL out of a client's error: the query of a webhook URL
// holds its token.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
