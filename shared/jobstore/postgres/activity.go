package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zixly/sweepline/shared/jobstore"
)

const activity = `select floor(extract(epoch from created_at - $2) / $3)::int, status::text, error_code is not distinct from 'cancelled', count(*),
		percentile_disc(array[0.5, 0.95]) within group (order by extract(epoch from completed_at - created_at)::float8)
	from pipeline_jobs where tenant_id = $1 and created_at >= $2 and created_at < $4 group by 1, 2, 3`

// Activity counts jobs by when they were created; see jobstore.Store.
func (l *Store) Activity(ctx context.Context, tenantID string, in jobstore.Intervals) ([]jobstore.Interval, error) {
	var found []jobstore.IntervalRow
	err := l.read(ctx, l.tenant(tenantID), activity, []any{tenantID, in.From, in.Every.Seconds(), in.Until()}, func(rows pgx.Rows) error {
		var r jobstore.IntervalRow
		var took []*float64
		err := rows.Scan(&r.Number, &r.Status, &r.Cancelled, &r.Jobs, &took)
		if len(took) == 2 {
			r.Median, r.P95 = seconds(took[0]), seconds(took[1])
		}
		found = append(found, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count jobs by interval: %w", err)
	}
	return in.Fill(found), nil
}

func seconds(s *float64) *time.Duration {
	if s == nil {
		return nil
	}
	d := time.Duration(*s * float64(time.Second)).Round(time.Microsecond)
	return &d
}
