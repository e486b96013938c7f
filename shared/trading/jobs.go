package trading

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Status is where a sweep stands at the trading API.
type Status string

// The states of a sweep. A Job in a list may hold another word of the API's; any
// such word is not Ended.
const (
	Pending   Status = "pending"
	Running   Status = "running"
	Completed Status = "completed"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Ended reports whether the sweep will not change any more.
func (s Status) Ended() bool { return s == Completed || s == Failed || s == Cancelled }

func (s Status) known() bool { return s.Ended() || s == Pending || s == Running }

// readStatus folds the words of the two dialects into one set.
func readStatus(s string) Status {
	switch s {
	case "queued":
		return Pending
	case "canceled":
		return Cancelled
	}
	return Status(clean(s, 40))
}

// Job is a sweep as the API tells of it. Fields that its dialect lacks are zero.
type Job struct {
	// ID is the trading API's id.
	ID     string
	Status Status
	// Progress is 0–100.
	Progress int
	// RunID names the results; a completed job without one has to be asked for
	// again or given up.
	RunID        string
	ErrorMessage string
	// WebhookURL is the callback URL that the job was submitted with.
	WebhookURL string
	// Combinations and ExecutionSeconds are the API's own figures.
	Combinations     int
	ExecutionSeconds float64
	// Synthetic marks results on made-up prices; only the simulator says so.
	Synthetic                         bool
	CreatedAt, StartedAt, CompletedAt time.Time
}

// jobBody is the job object of both dialects.
type jobBody struct {
	JobID       string          `json:"job_id"`
	Status      string          `json:"status"`
	Progress    float64         `json:"progress"`
	RunID       string          `json:"sweep_run_id"`
	Error       string          `json:"error_message"`
	Parameters  json.RawMessage `json:"parameters"`
	Data        json.RawMessage `json:"result_data"`
	CreatedAt   stamp           `json:"created_at"`
	StartedAt   stamp           `json:"started_at"`
	CompletedAt stamp           `json:"completed_at"`
}

func (b jobBody) job() Job {
	p, d := readParameters(b.Parameters), readResultData(b.Data)
	j := Job{
		ID:               b.JobID,
		Status:           readStatus(b.Status),
		Progress:         int(min(max(b.Progress, 0), 100)),
		RunID:            runID(b.RunID, d),
		ErrorMessage:     clean(b.Error, maxMessage),
		WebhookURL:       p.WebhookURL,
		Combinations:     max(p.Combinations, d.Total),
		ExecutionSeconds: d.Seconds,
		Synthetic:        d.Synthetic,
		CreatedAt:        b.CreatedAt.Time,
		StartedAt:        b.StartedAt.Time,
		CompletedAt:      b.CompletedAt.Time,
	}
	if j.Status == Completed {
		j.Progress = 100
	}
	return j
}

// Job asks for one sweep. NotFound(err) tells that the API does not know it.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	const op = "read sweep status"
	if !validJobID(id) {
		return Job{}, badID(op)
	}
	var body jobBody
	err := c.do(ctx, call{
		op: op, endpoint: "job", method: http.MethodGet, path: []string{"api", "v1", "jobs", id},
	}, &body)
	if err != nil {
		return Job{}, err
	}
	if body.JobID == "" {
		body.JobID = id // the older dialect leaves it out
	}
	j := body.job()
	if !j.Status.known() {
		return Job{}, &Error{Op: op, Status: http.StatusOK, Detail: "status " + string(j.Status) + " is unknown"}
	}
	return j, nil
}

// Jobs lists the API's jobs as it orders them: the first page of them, where it
// has pages. Entries without a usable id are left out: they are not ours.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	jobs, _, err := c.jobsFrom(ctx, 0)
	return jobs, err
}

// jobsFrom also returns how many entries the page had.
func (c *Client) jobsFrom(ctx context.Context, offset int) ([]Job, int, error) {
	query := url.Values{}
	if offset > 0 {
		query.Set("offset", strconv.Itoa(offset))
	}
	var list jobList
	err := c.do(ctx, call{
		op: "list sweeps", endpoint: "jobs", method: http.MethodGet, path: []string{"api", "v1", "jobs", ""}, query: query, most: maxList,
	}, &list)
	if err != nil {
		return nil, 0, err
	}
	return list.jobs, list.entries, nil
}

// ErrTruncated: the list of jobs ends before it could tell. A sweep that is not on
// it may be at the API all the same.
var ErrTruncated = errors.New("list of jobs is truncated")

const (
	// maxListed bounds how much of the list is read.
	maxListed = 5000
	// surelyWhole is a list that no API cuts off: its pages are longer.
	surelyWhole = 20
	// clockSkew is by how much the API's clock may be off.
	clockSkew = 10 * time.Minute
)

// Find looks in the API's list for the sweeps of one of our jobs, by the job id
// in their callback URL, whatever token stands beside it. It is how a submission
// with a lost answer is found again. A list without parameters finds nothing.
//
// since is before the first submission of the job. Where the list is newest first
// it is read until a job is older than that, else to its end, page by page where
// the API has pages. Where it cannot tell that there is none the error is
// ErrTruncated. Each page is a call to the API.
func (c *Client) Find(ctx context.Context, ourJobID string, since time.Time) ([]Job, error) {
	const op = "find sweep"
	truncated := &Error{Op: op, Status: http.StatusOK, cause: ErrTruncated}
	first, pageSize := "", 0
	further := unpaid(ctx)
	for call, offset := ctx, 0; offset < maxListed; call = further {
		page, n, err := c.jobsFrom(call, offset)
		switch {
		case err != nil && offset > 0 && Permanent(err):
			return nil, truncated // it has no pages
		case err != nil:
			return nil, err
		case n == 0:
			return nil, nil
		case offset == 0:
			pageSize = n
			if len(page) > 0 {
				first = page[0].ID
			}
		}
		offset += n
		var found []Job
		again := false
		for _, j := range page {
			again = again || offset > pageSize && j.ID == first
			u, err := url.Parse(j.WebhookURL)
			if err == nil && ourJobID != "" && u.Query().Get("job") == ourJobID {
				found = append(found, j)
			}
		}
		switch {
		case len(found) > 0:
			return found, nil
		case again: // whatever the offset, it gives the first page
			return nil, truncated
		case offset < surelyWhole, n < pageSize, reaches(page, since.Add(-clockSkew)):
			return nil, nil
		}
		// Sweeps that are new by now push others from one page to the next, where they
		// come once more: none is missed.
	}
	return nil, truncated
}

// reaches reports whether a page that is newest first goes back to before a time.
func reaches(page []Job, to time.Time) bool {
	if len(page) == 0 {
		return false
	}
	first, last := page[0].CreatedAt, page[len(page)-1].CreatedAt
	return !last.IsZero() && last.Before(to) && !first.Before(last)
}

// Cancel stops a sweep. A sweep that has already ended (409) is no error; one
// that the API does not know is NotFound.
func (c *Client) Cancel(ctx context.Context, id string) error {
	const op = "cancel sweep"
	if !validJobID(id) {
		return badID(op)
	}
	err := c.do(ctx, call{
		op: op, endpoint: "cancel", method: http.MethodDelete, path: []string{"api", "v1", "jobs", id},
	}, nil)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusConflict {
		return nil
	}
	return err
}

// badID answers for an id that no API can know, as the API would.
func badID(op string) error {
	return &Error{Op: op, Status: http.StatusNotFound, Detail: "no usable id"}
}
