// Package job holds the words that every step of the pipeline speaks: a job,
// its states, the sweep it asks for and the rows that come back. It knows no
// transport and no store.
package job

import "time"

// Type is the only kind of job there is today. It stands in events, rows and
// metrics so that a second kind needs no migration.
const Type = "trading-sweep"

// DefaultTenant owns every job while no tenant keys are configured.
const DefaultTenant = "default"

// State is where a job stands: QUEUED → RUNNING → COMPLETED | FAILED. A
// terminal state never changes.
type State string

// The states of a job.
const (
	Queued    State = "QUEUED"
	Running   State = "RUNNING"
	Completed State = "COMPLETED"
	Failed    State = "FAILED"
)

// ShownCancelled is the state that people are told, and filter by, of a job that is Failed
// with the code Cancelled. It is never stored.
const ShownCancelled State = "CANCELLED"

// Listed reports whether s is a state that lists may be narrowed to: one of the four, or
// ShownCancelled.
func (s State) Listed() bool { return s.Valid() || s == ShownCancelled }

// Terminal reports whether s never changes again.
func (s State) Terminal() bool { return s == Completed || s == Failed }

// Valid reports whether s is one of the four states.
func (s State) Valid() bool {
	switch s {
	case Queued, Running, Completed, Failed:
		return true
	}
	return false
}

// ErrorCode says, for machines, why a job is FAILED.
type ErrorCode string

// The reasons for which a job fails.
const (
	// Rejected says that the trading API refused the sweep with a permanent error. Remedy:
	// correct the parameters and submit a new sweep.
	Rejected ErrorCode = "rejected"
	// SweepFailed says that the sweep failed at the trading API, or its results could not
	// be read. Remedy: read the error message; retry the job.
	SweepFailed ErrorCode = "failed"
	// TimedOut says that no result arrived before the deadline, which is CALLBACK_TIMEOUT
	// after the submission or QUEUE_TIMEOUT in line. Remedy: ask for fewer combinations or
	// raise the timeout; retry the job.
	TimedOut ErrorCode = "timed_out"
	// Undeliverable says that an event of the job exhausted its retries. Remedy: see its
	// dead letter, mend the cause; retry the job.
	Undeliverable ErrorCode = "undeliverable"
	// Cancelled says that the job's owner cancelled it. Remedy: none; retry the job if that
	// was a mistake.
	Cancelled ErrorCode = "cancelled"
)

// Header is what every event of a job carries, so that any of them, arriving
// first, is enough to write the job down.
type Header struct {
	JobID      string    `json:"job_id"`
	TenantID   string    `json:"tenant_id"`
	JobType    string    `json:"job_type"`
	Parameters Sweep     `json:"parameters"`
	CreatedAt  time.Time `json:"created_at"`
	// RetryOf names the job that this one repeats, if any.
	RetryOf string `json:"retry_of,omitempty"`
	// GroupID is the group that the job is of: the id of the group's first job.
	GroupID string `json:"group_id,omitempty"`
	// Labels are the owner's words for it, sorted.
	Labels []string `json:"labels,omitempty"`
	// NotifyURL is the address that is called when the job has ended, if any.
	NotifyURL string `json:"notify_url,omitempty"`
}

// Tenant is whose job it is.
func (h Header) Tenant() string { return h.TenantID }

// Job is a job as its owner sees it: the JSON of GET /webhook/jobs/{id}.
type Job struct {
	JobID        string     `json:"job_id"`
	TenantID     string     `json:"tenant_id"`
	JobType      string     `json:"job_type"`
	Status       State      `json:"status"`
	ErrorCode    ErrorCode  `json:"error_code,omitempty"`
	ErrorMessage string     `json:"error_message,omitempty"`
	Ticker       string     `json:"ticker"`
	Parameters   Sweep      `json:"parameters"`
	Progress     int        `json:"progress"`
	SweepRunID   string     `json:"sweep_run_id,omitempty"`
	TradingJobID string     `json:"trading_job_id,omitempty"`
	RetryOf      string     `json:"retry_of,omitempty"`
	GroupID      string     `json:"group_id,omitempty"`
	Labels       []string   `json:"labels,omitempty"`
	NotifyURL    string     `json:"notify_url,omitempty"`
	Attempts     int        `json:"attempts"`
	CreatedAt    time.Time  `json:"created_at"`
	StartedAt    *time.Time `json:"started_at,omitempty"`
	CompletedAt  *time.Time `json:"completed_at,omitempty"`
	// DurationSeconds runs from CreatedAt to CompletedAt.
	DurationSeconds *float64 `json:"duration_seconds,omitempty"`
	Metrics         *Metrics `json:"metrics,omitempty"`
	// Collecting is how far the results of a completed sweep are stored; nil
	// before, after, and for a sweep of one page.
	Collecting *Collecting `json:"collecting,omitempty"`
	// Results are the best rows by score, at most ten; never null in JSON.
	Results []Row `json:"results"`
}

// Header is what the job's events carry.
func (j Job) Header() Header {
	return Header{
		JobID: j.JobID, TenantID: j.TenantID, JobType: j.JobType, Parameters: j.Parameters, CreatedAt: j.CreatedAt,
		RetryOf: j.RetryOf, GroupID: j.GroupID, Labels: j.Labels, NotifyURL: j.NotifyURL,
	}
}

// Shown is the state that people are told.
func (j Job) Shown() State {
	if j.Status == Failed && j.ErrorCode == Cancelled {
		return ShownCancelled
	}
	return j.Status
}

// Metrics sums a finished sweep up.
type Metrics struct {
	// Combinations counts the rows that the sweep computed.
	Combinations int `json:"combinations"`
	// BestScore is the highest score among them; 0 where there are none.
	BestScore float64 `json:"best_score"`
	// ExecutionSeconds is the trading API's own figure, where it gives one.
	ExecutionSeconds float64 `json:"execution_seconds,omitempty"`
	// Synthetic marks results computed on made-up prices.
	Synthetic bool `json:"synthetic,omitempty"`
	// Data is what they were computed on; nil where the trading API does not say.
	Data *Data `json:"data,omitempty"`
}

// Data is the prices that a sweep was computed on, in the trading API's words. What it
// does not tell is empty: unknown.
type Data struct {
	// Source names where the prices came from, such as a file or a feed.
	Source string `json:"source,omitempty"`
	// FirstDay and LastDay are as the source writes them: ISO dates, or decimal years.
	FirstDay string `json:"first_day,omitempty"`
	LastDay  string `json:"last_day,omitempty"`
	// Bars counts the prices.
	Bars int `json:"bars,omitempty"`
	// Hash tells one series from another, "sha256:" and 64 hexadecimal digits where the
	// API is ours.
	Hash string `json:"hash,omitempty"`
	// BuyAndHoldPct is the return of holding one unit over the same days, in percent: what
	// a strategy is measured against. nil where the API does not tell: it cannot be known
	// from the rows.
	BuyAndHoldPct *float64 `json:"buy_and_hold_pct,omitempty"`
}

// Collecting is how far a sweep's rows are stored.
type Collecting struct {
	Rows int `json:"rows"`
	// Total is 0 where the trading API does not say.
	Total int `json:"total,omitempty"`
}

// TimelineEvent is one entry of a job's timeline.
type TimelineEvent struct {
	// ID is the CloudEvent's id: "{job id}/{step}".
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Time    time.Time `json:"time"`
	Attempt int       `json:"attempt,omitempty"`
	Error   string    `json:"error,omitempty"`
	// Data is the event's data as it was sent.
	Data map[string]any `json:"data,omitempty"`
}

// Row is one parameter set of a sweep with its figures, as the trading API
// gives it. Pointers are fields that the API may leave out.
type Row struct {
	Ticker             string   `json:"ticker"`
	StrategyType       string   `json:"strategy_type"`
	FastPeriod         int      `json:"fast_period"`
	SlowPeriod         int      `json:"slow_period"`
	SignalPeriod       *int     `json:"signal_period,omitempty"`
	Score              float64  `json:"score"`
	SharpeRatio        float64  `json:"sharpe_ratio"`
	SortinoRatio       float64  `json:"sortino_ratio"`
	TotalReturnPct     float64  `json:"total_return_pct"`
	AnnualizedReturn   *float64 `json:"annualized_return,omitempty"`
	MaxDrawdownPct     float64  `json:"max_drawdown_pct"`
	WinRatePct         float64  `json:"win_rate_pct"`
	ProfitFactor       float64  `json:"profit_factor"`
	TotalTrades        int      `json:"total_trades"`
	TradesPerMonth     *float64 `json:"trades_per_month,omitempty"`
	AvgTradeDuration   *float64 `json:"avg_trade_duration,omitempty"`
	ExpectancyPerTrade *float64 `json:"expectancy_per_trade,omitempty"`
	CalmarRatio        *float64 `json:"calmar_ratio,omitempty"`
	ResultID           string   `json:"result_id,omitempty"`
	// NeighbourWorst and NeighbourMedian are the worst and the median score of the row and
	// those around it, two steps of the sweep up and down in both periods: how robust its
	// score is. They are nil where there is none around it, or nobody computed them.
	NeighbourWorst  *float64 `json:"neighbour_worst,omitempty"`
	NeighbourMedian *float64 `json:"neighbour_median,omitempty"`
	// Synthetic marks figures computed on made-up prices; only the simulator
	// says so. It is kept for the whole job, in Metrics.
	Synthetic bool `json:"synthetic,omitempty"`
}
