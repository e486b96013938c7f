package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// Request asks for a sweep, or with Tickers for the same sweep of many.
type Request struct {
	job.Sweep

	// Labels are words of yours, 10 at most, that jobs can be found by.
	Labels []string
	// Tickers are 50 at most; Ticker must then be empty.
	Tickers []string
	// NotifyURL is an address to be called when a job has ended; "" is none. The server must
	// allow its host.
	NotifyURL string
}

// MarshalJSON writes the body of POST /webhook/trading-sweep.
func (r Request) MarshalJSON() ([]byte, error) {
	type sweep job.Sweep
	return json.Marshal(struct {
		sweep

		Ticker    string   `json:"ticker,omitempty"`
		Tickers   []string `json:"tickers,omitempty"`
		Labels    []string `json:"labels,omitempty"`
		NotifyURL string   `json:"notify_url,omitempty"`
	}{sweep(r.Sweep), r.Ticker, r.Tickers, r.Labels, r.NotifyURL})
}

// Accepted is the answer to a sweep that was sent.
type Accepted struct {
	// JobID is empty for a group.
	JobID string `json:"job_id,omitempty"`
	// GroupID and Jobs are of a group; Jobs are in the order of the tickers.
	GroupID string        `json:"group_id,omitempty"`
	Jobs    []AcceptedJob `json:"jobs,omitempty"`
	Status  job.State     `json:"status"`
	Message string        `json:"message"`
	// StatusURL is where the job or the group can be read, StreamURL where the job can be
	// followed, and DashboardURL its page for people.
	StatusURL    string `json:"status_url,omitempty"`
	StreamURL    string `json:"stream_url,omitempty"`
	DashboardURL string `json:"dashboard_url,omitempty"`
	// WebhookURL is where the trading API reports ends.
	//
	// Deprecated: it is of no use to a client. Use StatusURL.
	WebhookURL string    `json:"webhook_url,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	// RetryOf is the job whose sweep runs again, for a retry.
	RetryOf string `json:"retry_of,omitempty"`
}

// MarshalJSON writes its time as the API does.
func (a Accepted) MarshalJSON() ([]byte, error) {
	type plain Accepted // without this method
	return json.Marshal(struct {
		plain

		CreatedAt rfc3339.Milli `json:"created_at"`
	}{plain(a), rfc3339.Milli(a.CreatedAt)})
}

// AcceptedJob is one job of a group.
type AcceptedJob struct {
	JobID        string `json:"job_id"`
	Ticker       string `json:"ticker"`
	StatusURL    string `json:"status_url"`
	StreamURL    string `json:"stream_url"`
	DashboardURL string `json:"dashboard_url"`
}

// Submit sends a sweep, or a group of them: that is taken as a whole or not at all. A key
// names the request for 24 hours: sent again with the same key, it is the same job or
// group. Without one each call makes new ones.
func (c *Client) Submit(ctx context.Context, r Request, key string) (Accepted, error) {
	var a Accepted
	err := c.do(ctx, call{method: http.MethodPost, path: "/webhook/trading-sweep", body: r, header: withKey(key)}, &a)
	if err != nil {
		return a, err
	}
	return a, a.check()
}

// check keeps what is no id from callers, who print ids and make addresses of them.
func (a Accepted) check() error {
	valid := a.JobID == "" || job.ValidID(a.JobID)
	valid = valid && (a.GroupID == "" || job.ValidID(a.GroupID)) && (a.JobID != "" || a.GroupID != "")
	for _, j := range a.Jobs {
		valid = valid && job.ValidID(j.JobID) && job.ValidTicker(j.Ticker)
	}
	if !valid {
		return fmt.Errorf("%w: no job id (is this a sweepline server?)", ErrInvalidResponse)
	}
	return nil
}

// Job is a job as all that is known of it tells.
type Job struct {
	job.Job

	// DisplayStatus is the state that people are told: job.ShownCancelled for a job that
	// failed since its owner cancelled it.
	DisplayStatus job.State `json:"display_status"`
	// RetriedBy are the jobs that ran its sweep again.
	RetriedBy []string `json:"retried_by,omitempty"`
	// Place is its position in the queue of all tenants, from 1; 0 for callers who do not
	// operate the broker, and for jobs that are not queued.
	Place int `json:"place,omitempty"`
	// ElapsedSeconds runs from CreatedAt, for a job that has not ended.
	ElapsedSeconds float64 `json:"elapsed_seconds,omitempty"`
	// ETA is when its sweep may end; nil where nothing tells.
	ETA *time.Time `json:"eta,omitempty"`
}

// MarshalJSON writes its times as the API does.
func (j Job) MarshalJSON() ([]byte, error) {
	type plain Job // without this method
	return json.Marshal(struct {
		plain

		CreatedAt   rfc3339.Milli  `json:"created_at"`
		StartedAt   *rfc3339.Milli `json:"started_at,omitempty"`
		CompletedAt *rfc3339.Milli `json:"completed_at,omitempty"`
		ETA         *rfc3339.Milli `json:"eta,omitempty"`
	}{
		plain(j), rfc3339.Milli(j.CreatedAt), rfc3339.MilliOf(j.StartedAt), rfc3339.MilliOf(j.CompletedAt), rfc3339.MilliOf(j.ETA),
	})
}

// Job reads a job with its ten best rows.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	var j Job
	err := c.do(ctx, call{method: http.MethodGet, path: ofJob(id, "")}, &j)
	return j, err
}

// Sort says how jobs are listed.
type Sort string

// The sorts.
const (
	// NewestFirst is what is meant where there is none.
	NewestFirst Sort = ""
	// BestFirst goes down by best score; jobs without one come last, newest first.
	BestFirst Sort = "score"
)

// JobFilter says which jobs are listed. The zero value is all.
type JobFilter struct {
	// Status may hold job.ShownCancelled as well.
	Status []job.State
	// Prefix is what the job's id begins with: 6 hexadecimal digits or more. Acts on many
	// jobs take none.
	Prefix string
	Ticker string
	// Text must occur in the job's id, ticker, strategy or error.
	Text string
	// Group keeps the jobs of a group, and Labels those that have all of these.
	Group  string
	Labels []string
	// Since and Until bound the creation: Since ≤ created < Until.
	Since, Until time.Time
	// Sort is how they are sorted; acts on many jobs take none.
	Sort Sort
	// Limit is the size of a page, 1 to 500; 50 if 0.
	Limit int
	// Cursor is NextCursor of the page before.
	Cursor string
}

func (f JobFilter) query() url.Values {
	q := url.Values{}
	words := make([]string, len(f.Status))
	for i, s := range f.Status {
		words[i] = string(s)
	}
	set(q, "status", strings.Join(words, ","))
	set(q, "prefix", f.Prefix)
	set(q, "ticker", f.Ticker)
	set(q, "q", f.Text)
	set(q, "group", f.Group)
	set(q, "label", strings.Join(f.Labels, ","))
	set(q, "sort", string(f.Sort))
	set(q, "cursor", f.Cursor)
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	return q
}

// JobPage is one page of jobs.
type JobPage struct {
	Jobs []Job `json:"jobs"`
	// NextCursor is empty on the last page.
	NextCursor string `json:"next_cursor,omitempty"`
}

// Jobs lists jobs, without their rows.
func (c *Client) Jobs(ctx context.Context, f JobFilter) (JobPage, error) {
	var p JobPage
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/jobs", query: f.query()}, &p)
	if err != nil {
		return p, err
	}
	return p, checkCursor(p.NextCursor)
}

// Timeline reads every event of a job in the order of time.
func (c *Client) Timeline(ctx context.Context, id string) ([]job.TimelineEvent, error) {
	var t struct {
		Events []job.TimelineEvent `json:"events"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: ofJob(id, "/events")}, &t)
	return t.Events, err
}

// Cancelled is the answer to a cancel.
type Cancelled struct {
	JobID   string    `json:"job_id"`
	Status  job.State `json:"status"`
	Message string    `json:"message"`
}

// Cancel ends a job that has not ended. It is a 409 Error for one that has.
func (c *Client) Cancel(ctx context.Context, id string) (Cancelled, error) {
	var a Cancelled
	err := c.do(ctx, call{method: http.MethodPost, path: ofJob(id, "/cancel")}, &a)
	return a, err
}

// Retry runs a failed job's sweep again, as a new job. It is a 409 Error for a job that
// has not failed; the key is as for Submit.
func (c *Client) Retry(ctx context.Context, id, key string) (Accepted, error) {
	var a Accepted
	err := c.do(ctx, call{method: http.MethodPost, path: ofJob(id, "/retry"), header: withKey(key)}, &a)
	if err != nil {
		return a, err
	}
	return a, a.check()
}

func ofJob(id, what string) string { return "/api/jobs/" + url.PathEscape(id) + what }
