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
	s, ok, err := f.surface(ctx, j)
	if err != nil || !ok {
		return nil, err
	}
	return newPicture(j.JobID, s)
}

// described is picture without the drawing, which takes ten times as long as the rest:
// for a message that perhaps nobody looks at.
func (f *Function) described(ctx context.Context, j job.Job) *Picture {
	if f.rows == nil || j.Status != job.Completed {
		return nil
	}
	s, ok, err := f.surface(ctx, j)
	if err != nil {
		f.log.WarnContext(ctx, "reading heat map failed, keeping message without it", slog.String("job_id", j.JobID), slog.Any("error", err))
	}
	if err != nil || !ok {
		return nil
	}
	return describe(j.JobID, s)
}

// surface is the map that a picture shows; false where too few rows make no area.
func (f *Function) surface(ctx context.Context, j job.Job) (heatmap.Map, bool, error) {
	s, ok, err := heatmap.Read(ctx, f.rows, j, func() error { return nil })
	if err != nil || !ok {
		return heatmap.Map{}, false, err
	}
	return s.Map(0, heatmap.Best), true, nil
}
