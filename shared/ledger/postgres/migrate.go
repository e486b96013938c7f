package postgres

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/zixly/sweepline/shared/ledger"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock that migrating processes queue for.
const migrationLock = 0x5357454550 // "SWEEP"

// Migrate brings the schema up to date and returns what it applied. Any number
// of processes may call it at once; one works, the others wait.
func (l *Ledger) Migrate(ctx context.Context) ([]ledger.Migration, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.BulkTimeout)
	defer cancel()
	p, done, err := l.provider()
	if err != nil {
		return nil, err
	}
	defer done()
	results, err := p.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	l.migrated.Store(true)
	return ledger.Applied(results), nil
}

// Status lists all migrations, oldest first, with the time of those applied.
func (l *Ledger) Status(ctx context.Context) ([]ledger.Migration, error) {
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
	return ledger.Statuses(status), nil
}

// ready migrates once, before the first call, where the configuration says so.
// It is tried again until it has worked, since the database may be down.
func (l *Ledger) ready(ctx context.Context) error {
	if !l.cfg.Migrate || l.migrated.Load() {
		return nil
	}
	l.migrating.Lock()
	defer l.migrating.Unlock()
	if l.migrated.Load() {
		return nil
	}
	_, err := l.Migrate(ctx)
	return err
}

func (l *Ledger) provider() (*goose.Provider, func(), error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, nil, fmt.Errorf("read migrations: %w", err)
	}
	db := stdlib.OpenDBFromPool(l.pool)
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithSessionLocker(advisoryLock{}))
	if err != nil {
		_ = db.Close()
		return nil, nil, fmt.Errorf("read migrations: %w", err)
	}
	// Closing db gives its connections back; the pool lives on.
	return p, func() { _ = db.Close() }, nil
}

// advisoryLock waits in the database, so that the next process starts at once;
// goose's own locker asks again every few seconds.
type advisoryLock struct{}

func (advisoryLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "select pg_advisory_lock($1)", int64(migrationLock))
	return err
}

func (advisoryLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "select pg_advisory_unlock($1)", int64(migrationLock))
	return err
}
