package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/internal/fold"
	"github.com/zixly/sweepline/shared/jobstore/internal/group"
)

// applySQL is the statement that writes events; see migrations/00003 and 00007. Addresses to
// be called, of those few jobs that have one, are written by a second one.
var (
	applySQL      = "select *, null from pipeline_apply_v2(" + parameters(35) + ")"
	notifyURLsSQL = "select pipeline_notify_urls_v1(" + parameters(3) + ")"
)

// Apply stores events; see jobstore.Store. It takes one round trip, or two where jobs have a
// notify_url.
func (l *Store) Apply(ctx context.Context, events ...cloudevents.Event) []jobstore.Applied {
	return group.Each(ctx, &l.applies, events, func(err error) jobstore.Applied { return jobstore.Applied{Err: err} })
}

func (l *Store) apply(ctx context.Context, events []cloudevents.Event) ([]jobstore.Applied, error) {
	return fold.Apply(ctx, events, l.write), nil
}

func (l *Store) write(ctx context.Context, b fold.Batch) (fold.Written, error) {
	args, err := applyArgs(b)
	if err != nil {
		return fold.Written{}, err
	}
	var w fold.Written
	err = l.call(ctx, l.cfg.Timeout, applySQL, args, func(rows pgx.Rows) (err error) {
		w, err = readWritten(rows)
		return err
	})
	if err == nil {
		err = l.writeNotifyURLs(ctx, b.Changes)
	}
	return w, err
}

// writeNotifyURLs is a transaction of its own: what it fails for is written again with its
// events.
func (l *Store) writeNotifyURLs(ctx context.Context, changes []fold.Change) error {
	var ids, tenants, urls []string
	for _, c := range changes {
		if h := c.Header; h.NotifyURL != "" {
			ids, tenants, urls = append(ids, h.JobID), append(tenants, h.TenantID), append(urls, h.NotifyURL)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return l.call(ctx, l.cfg.Timeout, notifyURLsSQL, []any{ids, tenants, urls}, func(rows pgx.Rows) error {
		rows.Close() // one, of nothing
		return rows.Err()
	})
}

// readWritten reads what pipeline_apply_v2 returns.
func readWritten(rows pgx.Rows) (fold.Written, error) {
	w := fold.Written{Ended: map[string]fold.Stored{}, Foreign: map[string]bool{}}
	for rows.Next() {
		var state string
		var r jobRow
		if err := rows.Scan(append([]any{&state}, r.targets()...)...); err != nil {
			return w, fmt.Errorf("read ended job: %w", err)
		}
		key := fold.Key(r.id, orEmpty(r.tenant))
		if state == "foreign" {
			w.Foreign[key] = true
			continue
		}
		w.Ended[key] = fold.Stored{Job: r.job(), First: state == "first"}
	}
	return w, rows.Err()
}

// applyArgs turns a batch sideways, as unnest wants it.
func applyArgs(b fold.Batch) ([]any, error) {
	parameters, err := column(b.Changes, func(c fold.Change) (string, error) { return encode(c.Header.Parameters) })
	if err != nil {
		return nil, fmt.Errorf("encode parameters: %w", err)
	}
	endParameters, err := column(b.Ends, func(e fold.Ending) (string, error) { return encode(e.Header.Parameters) })
	if err != nil {
		return nil, fmt.Errorf("encode parameters: %w", err)
	}
	results, err := column(b.Ends, func(e fold.Ending) (*string, error) {
		if e.Status != job.Completed {
			return nil, nil
		}
		s, err := encode(e.Best)
		return &s, err
	})
	if err != nil {
		return nil, fmt.Errorf("encode best rows: %w", err)
	}
	metrics, err := column(b.Ends, func(e fold.Ending) (*string, error) {
		if e.Status != job.Completed {
			return nil, nil
		}
		s, err := encode(e.Metrics)
		return &s, err
	})
	if err != nil {
		return nil, fmt.Errorf("encode metrics: %w", err)
	}
	type (
		change = fold.Change
		ending = fold.Ending
		line   = fold.Line
	)
	return []any{
		each(b.Changes, func(c change) string { return c.Header.JobID }),
		each(b.Changes, func(c change) string { return c.Header.TenantID }),
		each(b.Changes, func(c change) string { return c.Header.JobType }),
		each(b.Changes, func(c change) string { return string(c.Status) }),
		parameters,
		each(b.Changes, func(c change) time.Time { return c.Header.CreatedAt }),
		each(b.Changes, func(c change) *time.Time { return c.StartedAt }),
		each(b.Changes, func(c change) int32 { return int32(c.Attempts) }),
		each(b.Changes, func(c change) *string { return orNull(c.TradingJobID) }),
		each(b.Changes, func(c change) *string { return orNull(c.Header.RetryOf) }),

		each(b.Ends, func(e ending) string { return e.Header.JobID }),
		each(b.Ends, func(e ending) string { return e.Header.TenantID }),
		each(b.Ends, func(e ending) string { return e.Header.JobType }),
		endParameters,
		each(b.Ends, func(e ending) time.Time { return e.Header.CreatedAt }),
		each(b.Ends, func(e ending) *string { return orNull(e.Header.RetryOf) }),
		each(b.Ends, func(e ending) string { return string(e.Status) }),
		each(b.Ends, func(e ending) *string { return orNull(e.SweepRunID) }),
		each(b.Ends, func(e ending) time.Time { return e.CompletedAt }),
		each(b.Ends, func(e ending) *string { return orNull(string(e.Failure.Code)) }),
		each(b.Ends, func(e ending) *string { return orNull(e.Failure.Message) }),
		results,
		metrics,
		each(b.Ends, func(e ending) time.Time { return e.At.Time }),

		each(b.Lines, func(l line) string { return l.ID }),
		each(b.Lines, func(l line) string { return l.JobID }),
		each(b.Lines, func(l line) string { return l.TenantID }),
		each(b.Lines, func(l line) string { return l.Type }),
		each(b.Lines, func(l line) time.Time { return l.Time }),
		each(b.Lines, func(l line) int32 { return int32(l.Attempt) }),
		each(b.Lines, func(l line) string { return l.Error }),
		each(b.Lines, func(l line) string { return l.Data }),

		b.AllNotified(),

		each(b.Changes, func(c change) *string { return orNull(c.Header.GroupID) }),
		each(b.Changes, func(c change) *string {
			if len(c.Header.Labels) == 0 {
				return nil
			}
			return orNull(jobstore.Labels(c.Header.Labels))
		}),
	}, nil
}

// encode is v as JSON text. PostgreSQL's jsonb has no place for \u0000, so that
// texts must have lost it before.
func encode(v any) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}

// each turns entries into a column of an array parameter.
func each[E, T any](entries []E, of func(E) T) []T {
	out := make([]T, len(entries))
	for i, e := range entries {
		out[i] = of(e)
	}
	return out
}

// column is each with an error.
func column[E, T any](entries []E, of func(E) (T, error)) ([]T, error) {
	out := make([]T, len(entries))
	for i, e := range entries {
		var err error
		if out[i], err = of(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
