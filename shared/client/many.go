package client

import (
	"context"
	"errors"
	"net/http"
)

// MaxBulk is the most jobs that one call acts on.
const MaxBulk = 100

// Act is what can be done with many jobs at once.
type Act string

// The acts.
const (
	ActRetry  Act = "retry"
	ActCancel Act = "cancel"
)

// Outcome says what became of one job of many.
type Outcome string

// The outcomes. Of a dry run there are Matches, Repeated, Refused and Missing.
const (
	// Matches: the act would be done.
	Matches Outcome = "matches"
	// Done: the job is cancelled; or it runs again, as the job that RetriedBy names.
	Done Outcome = "done"
	// Repeated: that was done before. Nothing new was made.
	Repeated Outcome = "repeated"
	// Refused: the job's state does not allow it; Reason says why.
	Refused Outcome = "refused"
	// Missing: there is no such job.
	Missing Outcome = "missing"
	// Postponed: nothing was done. The same call may be sent again after RetryAfter.
	Postponed Outcome = "postponed"
)

// Bulk asks for an act on many jobs.
type Bulk struct {
	Act Act
	// IDs name the jobs, at most MaxBulk. Without them they are a page of those that the
	// filter finds, which must then narrow them down.
	IDs []string
	JobFilter
	// DryRun has nothing done.
	DryRun bool
}

// BulkJob is one job of a Bulk.
type BulkJob struct {
	JobID   string  `json:"job_id"`
	Ticker  string  `json:"ticker,omitempty"`
	Outcome Outcome `json:"outcome"`
	// RetriedBy names the job that repeats it.
	RetriedBy string `json:"retried_by,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// BulkResult is what became of a Bulk.
type BulkResult struct {
	Act    Act             `json:"act"`
	DryRun bool            `json:"dry_run"`
	Jobs   []BulkJob       `json:"jobs"`
	Counts map[Outcome]int `json:"counts"`
	// Total is how many jobs there are in all; nil after the first page, and where they
	// could not be counted in time.
	Total *int `json:"total,omitempty"`
	// NextCursor is the next call's Cursor, empty at the end.
	NextCursor string `json:"next_cursor,omitempty"`
	// RetryAfter is in how many seconds the same call is worth sending again; 0 where
	// nothing was postponed.
	RetryAfter int `json:"retry_after_seconds,omitempty"`
}

// Many retries or cancels jobs. It may be called again with the same Bulk: what was done
// is not done twice. A Bulk with a Prefix or a Sort, which acts on many jobs do not know, is
// refused before anything is sent.
func (c *Client) Many(ctx context.Context, b Bulk) (BulkResult, error) {
	if b.Prefix != "" || b.Sort != NewestFirst {
		return BulkResult{}, errors.New("acts on many jobs take no Prefix and no Sort")
	}
	a := call{method: http.MethodPost, path: "/api/jobs/" + string(b.Act), query: b.query()}
	if len(b.IDs) > 0 {
		a.body = map[string][]string{"ids": b.IDs}
	}
	if b.DryRun {
		a.query.Set("dry_run", "true")
	}
	var r BulkResult
	if err := c.do(ctx, a, &r); err != nil {
		return r, err
	}
	return r, checkCursor(r.NextCursor)
}
