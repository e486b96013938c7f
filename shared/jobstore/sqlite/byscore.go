package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// jobsByScore returns a page of jobstore.BestFirst.
func (l *Store) jobsByScore(ctx context.Context, tenant string, q jobstore.Query) (jobstore.Page, error) {
	page, err := jobstore.PageByScore(q, jobstore.ScoreReads{
		Scored: func(q jobstore.Query, after *jobstore.ScorePosition, limit int) (found []jobstore.Scored, err error) {
			f := narrow(tenant, q)
			f.add("best_score is not null") // which are completed
			if after != nil {
				f.add("(best_score, created_at, id) < (?, ?, ?)", after.Score, after.CreatedAt.UnixMicro(), after.ID)
			}
			err = l.read(ctx, "select "+listColumns+", best_score from pipeline_jobs"+f.where()+
				fmt.Sprintf(" order by best_score desc, created_at desc, id desc limit %d", limit), f.args, func(rows *sql.Rows) error {
				var score float64
				j, err := scanJob(rows, &score)
				found = append(found, jobstore.Scored{Job: j, Score: score})
				return err
			})
			return found, err
		},
		Others: func(q jobstore.Query, after *jobstore.Position, limit int) ([]job.Job, error) {
			f := narrow(tenant, q)
			f.add("status <> 'COMPLETED'")
			if len(q.Status) > 0 {
				if err := f.inStates(q); err != nil {
					return nil, err
				}
			}
			if after != nil {
				f.add("(created_at, id) < (?, ?)", after.CreatedAt.UnixMicro(), after.ID)
			}
			return l.list(ctx, "select "+listColumns+" from pipeline_jobs"+f.where()+
				fmt.Sprintf(" order by created_at desc, id desc limit %d", limit), f.args...)
		},
	})
	if err != nil {
		return jobstore.Page{}, fmt.Errorf("list jobs by score: %w", err)
	}
	return page, nil
}
