package jobstore

import (
	"time"

	"github.com/zixly/sweepline/shared/job"
)

// Complete fills what follows from the stored fields of a job: its ticker,
// duration and progress, rows that are never nil, times in UTC.
func Complete(j job.Job) job.Job {
	j.Ticker = j.Parameters.Ticker
	j.CreatedAt = j.CreatedAt.UTC()
	j.StartedAt, j.CompletedAt = utc(j.StartedAt), utc(j.CompletedAt)
	if j.CompletedAt != nil {
		// Clocks differ; no job ends before it begins.
		d := max(0, j.CompletedAt.Sub(j.CreatedAt).Seconds())
		j.DurationSeconds = &d
	}
	if j.Status == job.Completed {
		j.Progress = 100
	}
	if j.Results == nil {
		j.Results = []job.Row{}
	}
	return j
}

// WithCollecting is j with how far its rows are stored, while they are.
func WithCollecting(j job.Job, next, total int) job.Job {
	if !j.Status.Terminal() && next > 0 {
		j.Collecting = &job.Collecting{Rows: next, Total: total}
	}
	return j
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
