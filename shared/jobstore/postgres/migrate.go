package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/zixly/sweepline/shared/jobstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock that migrating processes queue for.
const migrationLock = 0x5357454550 // "SWEEP"

// recheck is how long a schema that cannot be used is taken for the same.
const recheck = 10 * time.Second

// schema is what is known of the database's schema.
type schema struct {
	done atomic.Bool
	mu   sync.Mutex
	// err is the last ErrUnusable, found at.
	err error
	at  time.Time
}

// Start brings the schema up to date, or waits for whoever does; see
// jobstore.Store.
func (l *Store) Start(ctx context.Context) error { return l.ready(ctx) }

// ready brings the schema up to date once, before the first call. It is tried
// again until it has worked, since the database may be down; a schema that
// takes a person is looked at every ten seconds, so that a queue of events does
// not keep the database busy with it.
func (l *Store) ready(ctx context.Context) error {
	if l.schema.done.Load() {
		return nil
	}
	l.schema.mu.Lock()
	defer l.schema.mu.Unlock()
	switch {
	case l.schema.done.Load():
		return nil
	case l.schema.err != nil && time.Since(l.schema.at) < recheck:
		return l.schema.err
	}
	err := l.prepare(ctx)
	l.schema.done.Store(err == nil)
	if l.schema.err = nil; errors.Is(err, jobstore.ErrUnusable) {
		l.schema.err, l.schema.at = err, time.Now()
	}
	return err
}

// prepare compares versions, which is all there is to do most of the time, and
// migrates where the configuration says so.
func (l *Store) prepare(ctx context.Context) error {
	want, err := latest()
	if err != nil {
		return err
	}
	have, err := l.version(ctx)
	switch {
	case err != nil:
		return unusable(fmt.Errorf("read schema version: %w", err))
	case have == want:
		return l.sealsAreTaken(ctx)
	case have > want:
		return fmt.Errorf("%w: schema version %d is newer than version %d of this build", jobstore.ErrUnusable, have, want)
	case !l.cfg.Migrate: // whoever may, will do it
		return fmt.Errorf("%w: schema version is %d, this build requires %d: run sweepline migrate up", jobstore.ErrUnavailable, have, want)
	}
	_, err = l.migrate(ctx)
	return unusable(err)
}

// sealsAreTaken reports early that a login in RoleSealed has not got the key that the
// database knows: all its reads would fail.
func (l *Store) sealsAreTaken(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	var b pgx.Batch
	l.tenant("-").enter(&b)
	// A superuser is a member of every role, and passes over policies.
	b.Queue(`select case when exists (select from pg_roles sealed, pg_roles me
			where sealed.rolname = $1 and me.rolname = current_user and not me.rolsuper and pg_has_role(sealed.oid, 'usage'))
		then pipeline_sealed_tenant() end`, RoleSealed)
	if err := l.pool.SendBatch(ctx, &b).Close(); err != nil {
		return unusable(fmt.Errorf("show a seal: %w", err))
	}
	return nil
}

// unusable says of an error at the start whether waiting can help.
func unusable(err error) error {
	if err = classify(err); err == nil || errors.Is(err, jobstore.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", jobstore.ErrUnusable, err)
}

// version is the schema's version, 0 for an empty database.
func (l *Store) version(ctx context.Context) (version int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	err = l.pool.QueryRow(ctx, "select coalesce(max(version_id), 0) from goose_db_version where is_applied").Scan(&version)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == codeNoTable {
		return 0, nil
	}
	return version, err
}

// latest is the version that this build needs.
func latest() (int64, error) {
	files, err := migrations.ReadDir("migrations")
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	return goose.NumericComponent(files[len(files)-1].Name()) // sorted by name
}

// Migrate brings the schema up to date and returns what it applied. Any number
// of processes may call it at once; one works, the others wait.
func (l *Store) Migrate(ctx context.Context) ([]jobstore.Migration, error) {
	applied, err := l.migrate(ctx)
	if err != nil {
		return nil, unusable(err)
	}
	l.schema.done.Store(true)
	return applied, nil
}

func (l *Store) migrate(ctx context.Context) ([]jobstore.Migration, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.BulkTimeout)
	defer cancel()
	unlock, err := l.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	p, done, err := l.provider()
	if err != nil {
		return nil, err
	}
	defer done()
	results, err := p.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	// What is new is for the same roles as the rest.
	if err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error { _, err := l.grant(ctx, tx); return err }); err != nil {
		return nil, fmt.Errorf("grant roles: %w", err)
	}
	return jobstore.AppliedMigrations(results), nil
}

// lock waits until no other process migrates. The lock belongs to a transaction
// on a connection of its own: behind a pooler a lock of the session would be
// left with whichever session the pooler had picked.
func (l *Store) lock(ctx context.Context) (unlock func(), err error) {
	conn, err := pgx.ConnectConfig(ctx, l.pool.Config().ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("lock schema: %w", err)
	}
	unlock = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.cfg.Timeout)
		defer cancel()
		_ = conn.Close(ctx) // the transaction, and with it the lock, ends with the connection
	}
	if _, err = conn.Exec(ctx, "begin"); err == nil {
		_, err = conn.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(migrationLock))
	}
	if err != nil {
		unlock()
		return nil, fmt.Errorf("lock schema: %w", err)
	}
	return unlock, nil
}

// Status lists all migrations, oldest first, with the time of those applied.
func (l *Store) Status(ctx context.Context) ([]jobstore.Migration, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	p, done, err := l.provider()
	if err != nil {
		return nil, err
	}
	defer done()
	status, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read migration status: %w", err)
	}
	return jobstore.Statuses(status), nil
}

func (l *Store) provider() (*goose.Provider, func(), error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, nil, fmt.Errorf("read migrations: %w", err)
	}
	db := stdlib.OpenDBFromPool(l.pool)
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir)
	if err != nil {
		_ = db.Close()
		return nil, nil, fmt.Errorf("read migrations: %w", err)
	}
	// Closing db gives its connections back; the pool lives on.
	return p, func() { _ = db.Close() }, nil
}
