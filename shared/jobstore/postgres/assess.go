package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// assessSQL is a fixed text; see migrations/00008.
var assessSQL = "select pipeline_assess_v1(" + parameters(9) + ")"

// Assess stores what is computed of all rows; see jobstore.Store.
func (l *Store) Assess(ctx context.Context, h job.Header, a jobstore.Assessment) error {
	for part := range a.Parts() {
		if err := l.assess(ctx, h, part); err != nil {
			return fmt.Errorf("assess rows of job %s: %w", h.JobID, err)
		}
	}
	return nil
}

func (l *Store) assess(ctx context.Context, h job.Header, a jobstore.Assessment) error {
	type row = jobstore.Neighbours
	return l.call(ctx, l.cfg.BulkTimeout, assessSQL, []any{
		h.JobID, h.TenantID, h.Parameters.StrategyType, a.Surface,
		each(a.Neighbours, func(r row) int32 { return r.Fast }),
		each(a.Neighbours, func(r row) int32 { return r.Slow }),
		each(a.Neighbours, func(r row) *int32 { return r.Signal }),
		each(a.Neighbours, func(r row) float64 { return jobstore.Figure(r.Worst) }),
		each(a.Neighbours, func(r row) float64 { return jobstore.Figure(r.Median) }),
	}, func(rows pgx.Rows) error {
		rows.Close() // one, of nothing
		return rows.Err()
	})
}

// Surface returns what Assess has stored; see jobstore.Store.
func (l *Store) Surface(ctx context.Context, tenantID, id string) (surface []byte, err error) {
	if !job.ValidID(id) {
		return nil, nil
	}
	err = l.read(ctx, l.tenant(tenantID), "select surface from pipeline_surfaces where job_id = $1 and tenant_id is not distinct from $2", []any{id, tenantID},
		func(rows pgx.Rows) error { return rows.Scan(&surface) })
	if err != nil {
		return nil, fmt.Errorf("read surface of job %s: %w", id, err)
	}
	return surface, nil
}
