package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/ledger/internal/fold"
)

// endJob ends a job that has not ended. The row is locked by the upsert before
// it, so of two ends at once the second finds the first.
const endJob = `
update pipeline_jobs set status = $2::pipeline_job_status, completed_at = $3, error_code = $4, error_message = $5,
    result = $6::jsonb, metrics = $7::jsonb
where id = $1::uuid and status < 'COMPLETED'`

// Finish ends a job; see ledger.Ledger.
func (l *Ledger) Finish(ctx context.Context, e cloudevents.Event, o ledger.Outcome) (ledger.Finished, error) {
	end, err := fold.Finish(e, o)
	if err != nil {
		return ledger.Finished{}, err
	}
	if err := l.ready(ctx); err != nil {
		return ledger.Finished{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.BulkTimeout)
	defer cancel()
	var f ledger.Finished
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		f, err = finish(ctx, tx, end)
		return err
	})
	if err != nil {
		return ledger.Finished{}, fmt.Errorf("finish job %s: %w", end.Line.JobID, err)
	}
	return f, nil
}

func finish(ctx context.Context, tx pgx.Tx, end fold.End) (ledger.Finished, error) {
	var f ledger.Finished
	args, err := endArgs(end)
	if err != nil {
		return f, err
	}
	id := end.Line.JobID
	var b pgx.Batch
	b.Queue(enter, service.setting, service.value)
	if err := queue(&b, []fold.Change{end.Change}, []fold.Line{end.Line}); err != nil {
		return f, err
	}
	// The tenant is checked here: a foreign event ends nobody's job.
	b.Queue(endJob+" and tenant_id = $8", append(args, end.Line.TenantID)...).Exec(func(tag pgconn.CommandTag) error {
		f.First = tag.RowsAffected() == 1
		return nil
	})
	found := false
	b.Queue("select "+jobColumns+" from pipeline_jobs where id = $1::uuid and tenant_id = $2", id, end.Line.TenantID).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			found = true
			if f.Job, err = scanJob(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return f, err
	}
	if !found {
		return f, fmt.Errorf("%w: %s is another tenant's job", ledger.ErrUnreadable, id)
	}
	if f.First && end.Status == job.Completed {
		if err := insertRows(ctx, tx, f.Job, end.Rows); err != nil {
			return f, err
		}
	}
	line, err := fold.Announcement(f.Job)
	if err != nil {
		return f, err
	}
	var last pgx.Batch
	queueLines(&last, []fold.Line{line})
	return f, tx.SendBatch(ctx, &last).Close()
}

// endArgs are the parameters of endJob.
func endArgs(end fold.End) ([]any, error) {
	args := []any{end.Line.JobID, string(end.Status), end.CompletedAt, orNull(string(end.Failure.Code)), orNull(end.Failure.Message)}
	if end.Status != job.Completed {
		return append(args, nil, nil), nil
	}
	best, err := json.Marshal(ledger.Best(end.Rows))
	if err != nil {
		return nil, fmt.Errorf("encode best rows: %w", err)
	}
	metrics, err := json.Marshal(end.Metrics)
	if err != nil {
		return nil, fmt.Errorf("encode metrics: %w", err)
	}
	return append(args, string(best), string(metrics)), nil
}
