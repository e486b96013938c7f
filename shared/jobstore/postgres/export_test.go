package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// OpenTuned is Open with a last word on the pool.
func OpenTuned(ctx context.Context, cfg Config, tune func(*pgxpool.Config)) (*Store, error) {
	return open(ctx, cfg, tune)
}
