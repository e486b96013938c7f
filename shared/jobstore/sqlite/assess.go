package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

const putNeighbours = `
update trading_sweep_results set neighbour_worst = ?1, neighbour_median = ?2
where job_id = ?3 and strategy_type = ?4 and fast_period = ?5 and slow_period = ?6
  and coalesce(signal_period, -2147483649) = coalesce(?7, -2147483649) and (neighbour_worst is not ?1 or neighbour_median is not ?2)`

const putSurface = `
insert into pipeline_surfaces (job_id, tenant_id, surface) values (?1, ?2, ?3)
on conflict (job_id) do update set surface = ?3`

// Assess stores what is computed of all rows; see jobstore.Store. Others write between
// its parts.
func (l *Store) Assess(ctx context.Context, h job.Header, a jobstore.Assessment) error {
	for part := range a.Parts() {
		err := l.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error { return assess(ctx, tx, h, part) })
		if err != nil {
			return fmt.Errorf("assess rows of job %s: %w", h.JobID, err)
		}
	}
	return nil
}

func assess(ctx context.Context, tx *sql.Tx, h job.Header, a jobstore.Assessment) error {
	have, err := collectionOf(ctx, tx, h)
	if err != nil || have.Status == "" || have.Status.Terminal() {
		return err
	}
	if a.Surface != nil {
		if _, err := tx.ExecContext(ctx, putSurface, h.JobID, h.TenantID, a.Surface); err != nil {
			return err
		}
	}
	put, err := tx.PrepareContext(ctx, putNeighbours)
	if err != nil {
		return err
	}
	defer func() { _ = put.Close() }()
	for _, n := range a.Neighbours {
		_, err := put.ExecContext(ctx, jobstore.Figure(n.Worst), jobstore.Figure(n.Median), h.JobID, h.Parameters.StrategyType, n.Fast, n.Slow, maybe(n.Signal))
		if err != nil {
			return err
		}
	}
	return nil
}

// Surface returns what Assess has stored; see jobstore.Store.
func (l *Store) Surface(ctx context.Context, tenant, id string) (surface []byte, err error) {
	err = l.read(ctx, "select surface from pipeline_surfaces where job_id = ? and tenant_id = ?", []any{id, tenant},
		func(rows *sql.Rows) error { return rows.Scan(&surface) })
	if err != nil {
		return nil, fmt.Errorf("read surface of job %s: %w", id, err)
	}
	return surface, nil
}
