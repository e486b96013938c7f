package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/zixly/sweepline/shared/jobstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema up to date and returns what it applied. Open has
// done so already.
func (l *Store) Migrate(ctx context.Context) ([]jobstore.Migration, error) {
	p, err := l.provider()
	if err != nil {
		return nil, err
	}
	results, err := p.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	return jobstore.AppliedMigrations(results), nil
}

// Status lists all migrations, oldest first, with the time of those applied.
func (l *Store) Status(ctx context.Context) ([]jobstore.Migration, error) {
	p, err := l.provider()
	if err != nil {
		return nil, err
	}
	status, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read migration status: %w", err)
	}
	return jobstore.Statuses(status), nil
}

func (l *Store) provider() (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, l.writer, dir)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}
