package heatmap

import (
	"context"
	"iter"
	"log/slog"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// Store is the job store as surfaces are read from it.
type Store interface {
	Surface(ctx context.Context, tenant, id string) ([]byte, error)
	Results(ctx context.Context, tenant, id string, q jobstore.RowQuery) iter.Seq2[job.Row, error]
}

// Read reads the surface of a completed job: the one that is stored, else, for sweeps of
// one page and those that were stored before there were any, it is computed from the
// rows. false where there are too few rows to make an area. all is called before many
// rows are read.
func Read(ctx context.Context, from Store, j job.Job, all func() error) (Surface, bool, error) {
	if j.Metrics != nil && j.Metrics.Combinations == len(j.Results) { // the job has them all
		s, ok := OfRows(j.Results, j.Parameters.Step)
		return s, ok, nil
	}
	packed, err := from.Surface(ctx, j.TenantID, j.JobID)
	if err != nil {
		return Surface{}, false, err
	}
	if packed != nil {
		s, err := DecodeSurface(packed)
		if err == nil {
			return s, true, nil
		}
		slog.WarnContext(ctx, "surface not read, computing it from rows", "job_id", j.JobID, "error", err)
	}
	if err := all(); err != nil {
		return Surface{}, false, err
	}
	var spots []Spot
	for r, err := range from.Results(ctx, j.TenantID, j.JobID, jobstore.ByPeriods) {
		if err != nil {
			return Surface{}, false, err
		}
		spots = append(spots, SpotOf(r))
	}
	Judge(spots, j.Parameters.Step)
	s, ok := SurfaceOf(spots)
	return s, ok, nil
}

// OfRows is the surface of all rows of a sweep; false where there are too few to make an
// area.
func OfRows(rows []job.Row, step int) (Surface, bool) {
	spots := make([]Spot, len(rows))
	for i, r := range rows {
		spots[i] = SpotOf(r)
	}
	Judge(spots, step)
	return SurfaceOf(spots)
}
