package notify

import (
	"context"
	"iter"
	"log/slog"

	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// Rows is the job store as notify reads it: the surface of a job, or its rows. They are
// there before the event that says so.
type Rows interface {
	Surface(ctx context.Context, tenant, id string) ([]byte, error)
	Results(ctx context.Context, tenant, id string, q jobstore.RowQuery) iter.Seq2[job.Row, error]
}

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
	s, ok, err := heatmap.Read(ctx, f.rows, j, func() error { return nil })
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, nil //nolint:nilnil // too few rows to make an area are no mistake
	}
	return newPicture(j.JobID, s.Map(0, heatmap.Best))
}
