package jobstore

import (
	"path"
	"time"

	"github.com/pressly/goose/v3"
)

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string
	// AppliedAt is zero while the migration is pending.
	AppliedAt time.Time
}

// AppliedMigrations turns goose's results into ours.
func AppliedMigrations(results []*goose.MigrationResult) []Migration {
	out := make([]Migration, len(results))
	for i, r := range results {
		out[i] = Migration{Version: r.Source.Version, Name: path.Base(r.Source.Path), AppliedAt: time.Now().UTC()}
	}
	return out
}

// Statuses turns goose's statuses into ours.
func Statuses(status []*goose.MigrationStatus) []Migration {
	out := make([]Migration, len(status))
	for i, s := range status {
		out[i] = Migration{Version: s.Source.Version, Name: path.Base(s.Source.Path), AppliedAt: s.AppliedAt}
	}
	return out
}
