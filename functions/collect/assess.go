package collect

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/telemetry"
)

// assess computes what takes all rows of a sweep that came in several pages: what is
// around each of them, and the surface that maps are drawn from. Of each row only what
// that needs is held, about 100 bytes. A sweep of one page costs nothing here.
func (f *Function) assess(ctx context.Context, d event.Completed, rows int) (err error) {
	ctx, span := telemetry.Span(ctx, "job store assess", trace.SpanKindClient, attribute.Int("rows", rows))
	defer func() { telemetry.End(span, err) }()
	spots := make([]heatmap.Spot, 0, max(0, min(rows, maxRows)))
	var top []job.Row
	for r, err := range f.jobStore.Results(ctx, d.TenantID, d.JobID, jobstore.ByPeriods) {
		if err != nil {
			return err
		}
		spots, top = append(spots, heatmap.SpotOf(r)), addTop(top, r)
	}
	heatmap.Judge(spots, d.Parameters.Step)
	surface, ok := heatmap.SurfaceOf(spots)
	if !ok {
		return nil
	}
	for _, r := range heatmap.Judged(top, spots) {
		surface.Top = append(surface.Top, jobstore.Clean(r))
	}
	a := jobstore.Assessment{Neighbours: make([]jobstore.Neighbours, 0, len(spots))}
	for i := range spots {
		if s := &spots[i]; s.Neighbours > 0 {
			a.Neighbours = append(a.Neighbours, jobstore.Neighbours{Fast: s.Fast, Slow: s.Slow, Signal: s.SignalPeriod(), Worst: s.Worst, Median: s.Median})
		}
	}
	if a.Surface, err = surface.Encode(); err != nil {
		return fmt.Errorf("assess rows of job %s: %w", d.JobID, err)
	}
	return f.jobStore.Assess(ctx, d.Header, a)
}

// addTop keeps the best rows by score, of equal ones those that came first.
func addTop(top []job.Row, r job.Row) []job.Row {
	if len(top) == heatmap.TopRows && r.Score <= top[len(top)-1].Score {
		return top
	}
	at, _ := slices.BinarySearchFunc(top, r, func(a, b job.Row) int { return cmp.Or(cmp.Compare(b.Score, a.Score), -1) })
	top = slices.Insert(top, at, r)
	return top[:min(len(top), heatmap.TopRows)]
}
