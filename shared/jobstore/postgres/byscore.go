package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// jobsByScore returns a page of jobstore.BestFirst.
func (l *Store) jobsByScore(ctx context.Context, tenantID string, q jobstore.Query) (jobstore.Page, error) {
	page, err := jobstore.PageByScore(q, jobstore.ScoreReads{
		Scored: func(q jobstore.Query, after *jobstore.ScorePosition, limit int) (found []jobstore.Scored, err error) {
			f := narrow(tenantID, q)
			f.add("best_score is not null") // which are completed
			if after != nil {
				f.add("(best_score, created_at, id) < (?, ?, ?::uuid)", after.Score, after.CreatedAt, after.ID)
			}
			sql := "select " + listColumns + ", best_score from pipeline_jobs" + f.where() +
				fmt.Sprintf(" order by best_score desc, created_at desc, id desc limit %d", limit)
			err = l.read(ctx, l.tenant(tenantID), sql, f.args, func(rows pgx.Rows) error {
				var r jobRow
				var score float64
				if err := rows.Scan(append(r.targets(), &score)...); err != nil {
					return fmt.Errorf("read job: %w", err)
				}
				found = append(found, jobstore.Scored{Job: r.job(), Score: score})
				return nil
			})
			return found, err
		},
		Others: func(q jobstore.Query, after *jobstore.Position, limit int) ([]job.Job, error) {
			f := narrow(tenantID, q)
			f.add("status <> 'COMPLETED'") // by the index of these
			if len(q.Status) > 0 {
				f.inStates(q)
			}
			if after != nil {
				f.add("(created_at, id) < (?, ?::uuid)", after.CreatedAt, after.ID)
			}
			return l.list(ctx, l.tenant(tenantID), "select "+listColumns+" from pipeline_jobs"+f.where()+
				fmt.Sprintf(" order by created_at desc, id desc limit %d", limit), f.args...)
		},
	})
	if err != nil {
		return jobstore.Page{}, fmt.Errorf("list jobs by score: %w", err)
	}
	return page, nil
}
