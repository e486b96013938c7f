// Package postgres keeps the ledger in PostgreSQL, version 15 or later.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zixly/sweepline/shared/ledger"
)

// Config is where the database is and how long to wait for it.
type Config struct {
	// DatabaseURL is a libpq URL or keyword string; pool_max_conns in it sizes
	// the pool (default: four, or the number of CPUs).
	DatabaseURL string `envconfig:"DATABASE_URL" required:"true"`
	// Timeout bounds a read or a small write.
	Timeout time.Duration `envconfig:"DATABASE_TIMEOUT" default:"5s"`
	// BulkTimeout bounds the writing of a sweep's rows, and a migration.
	BulkTimeout time.Duration `envconfig:"DATABASE_BULK_TIMEOUT" default:"1m"`
	// Migrate brings the schema up to date before the first call. Turn it off
	// where the role may not change the schema, and run `sweepline migrate up`.
	Migrate bool `envconfig:"DATABASE_MIGRATE" default:"true"`
}

// Ledger is a ledger.Ledger on PostgreSQL.
type Ledger struct {
	cfg  Config
	pool *pgxpool.Pool

	migrating sync.Mutex
	migrated  atomic.Bool
}

var _ ledger.Ledger = (*Ledger)(nil)

// Open makes a ledger. It does no I/O: the database may be down at start, and
// is found when it comes up.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	if cfg.Timeout <= 0 || cfg.BulkTimeout <= 0 {
		return nil, errors.New("DATABASE_TIMEOUT and DATABASE_BULK_TIMEOUT must be above zero")
	}
	pc, err := pgxpool.ParseConfig(cfg.DatabaseURL)
	if err != nil {
		// pgx masks the password in its error, but not every form of a URL.
		return nil, errors.New("DATABASE_URL is not a PostgreSQL URL or keyword string")
	}
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = cfg.Timeout
	}
	if pc.ConnConfig.RuntimeParams["application_name"] == "" {
		pc.ConnConfig.RuntimeParams["application_name"] = "sweepline"
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	return &Ledger{cfg: cfg, pool: pool}, nil
}

// Close waits for calls under way and closes all connections.
func (l *Ledger) Close() error {
	l.pool.Close()
	return nil
}

// Ping reports whether the database answers and its schema is in place.
func (l *Ledger) Ping(ctx context.Context) error {
	return l.read(ctx, service, "select 1 from pipeline_jobs limit 1", nil, func(pgx.Rows) error { return nil })
}

// scope is whose rows a transaction sees.
type scope struct{ setting, value string }

// service sees all tenants: events and recovery know no single one.
var service = scope{"sweepline.scope", "service"}

func tenant(id string) scope { return scope{"sweepline.tenant", id} }

// enter is the first statement of every transaction. The setting ends with it,
// so that a pooled connection never carries one tenant's view to the next.
const enter = "select set_config($1, $2, true)"

// read runs one query in a scope and hands each row to scan, all in one round
// trip: pgx sends a batch without a sync in between, which PostgreSQL takes as
// one transaction.
func (l *Ledger) read(ctx context.Context, s scope, sql string, args []any, scan func(pgx.Rows) error) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	var b pgx.Batch
	b.Queue(enter, s.setting, s.value)
	b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return l.pool.SendBatch(ctx, &b).Close()
}
