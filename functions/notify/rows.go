package notify

import (
	"context"
	"iter"
	"log/slog"

	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// Rows is the job store as notify reads it: all rows of a job. They are there
// before the event that says so.
type Rows interface {
	Results(ctx context.Context, tenant, id string, by jobstore.Order) iter.Seq2[job.Row, error]
}

// mostPoints bounds the rows that are drawn, best first. It is more than the
// widest sweep has.
const mostPoints = 500_000

// picture reads a job's rows and draws them. It gives nil where that cannot be
// done now: a message without its picture is better than none.
func (f *Function) picture(ctx context.Context, j job.Job) *Picture {
	if f.rows == nil || j.Status != job.Completed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout/2) // the other half is for the message
	defer cancel()
	select {
	case f.drawing <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	type drawn struct {
		picture *Picture
		err     error
	}
	done := make(chan drawn, 1)
	go func() { // rendering takes no notice of ctx, and on a busy machine its time
		defer func() { <-f.drawing }()
		p, err := f.draw(ctx, j)
		done <- drawn{p, err}
	}()
	var d drawn
	select {
	case d = <-done:
	case <-ctx.Done():
		d.err = ctx.Err()
	}
	if d.err != nil {
		f.log.WarnContext(ctx, "rendering heat map failed, sending message without it", slog.String("job_id", j.JobID), slog.Any("error", d.err))
		return nil
	}
	return d.picture
}

func (f *Function) draw(ctx context.Context, j job.Job) (*Picture, error) {
	var points []heatmap.Point
	if j.Metrics != nil && j.Metrics.Combinations == len(j.Results) { // the event has them all
		for _, r := range j.Results {
			points = append(points, heatmap.PointOf(r))
		}
		return newPicture(j.JobID, points)
	}
	for r, err := range f.rows.Results(ctx, j.TenantID, j.JobID, jobstore.ByScore) {
		if err != nil {
			return nil, err
		}
		if points = append(points, heatmap.PointOf(r)); len(points) == mostPoints {
			break
		}
	}
	return newPicture(j.JobID, points)
}
