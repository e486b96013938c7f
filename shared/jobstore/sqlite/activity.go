package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/zixly/sweepline/shared/jobstore"
)

// What a share of jobs took no longer than is taken by its number among them: SQLite has
// no percentiles. Those without an end come last, and are not counted as ended.
const activity = `with jobs as (
		select (created_at - ?2) / ?3 as interval, status, error_code is 'cancelled' as cancelled, completed_at - created_at as took
		from pipeline_jobs where tenant_id = ?1 and created_at >= ?2 and created_at < ?4
	), numbered as (
		select *, row_number() over (same order by took nulls last) as n, count(took) over same as ended
		from jobs window same as (partition by interval, status, cancelled)
	)
	select interval, status, cancelled, count(*), max(case when n = (ended * 50 + 99) / 100 then took end), max(case when n = (ended * 95 + 99) / 100 then took end)
	from numbered group by interval, status, cancelled`

// Activity counts jobs by when they were created; see jobstore.Store.
func (l *Store) Activity(ctx context.Context, tenant string, in jobstore.Intervals) ([]jobstore.Interval, error) {
	var found []jobstore.IntervalRow
	err := l.read(ctx, activity, []any{tenant, in.From.UnixMicro(), in.Every.Microseconds(), in.Until().UnixMicro()}, func(rows *sql.Rows) error {
		var r jobstore.IntervalRow
		var median, slow sql.NullInt64
		err := rows.Scan(&r.Number, &r.Status, &r.Cancelled, &r.Jobs, &median, &slow)
		r.Median, r.P95 = took(median), took(slow)
		found = append(found, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count jobs by interval: %w", err)
	}
	return in.Fill(found), nil
}

func took(n sql.NullInt64) *time.Duration {
	if !n.Valid {
		return nil
	}
	d := time.Duration(n.Int64) * time.Microsecond
	return &d
}
